"""Showing a sample to models under other readings of their input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.run.probe.inputs import read_as, written
from gauntlet.pipeline.run.probe.sample import ImageSample
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.showing import Showing


@dataclass(frozen=True)
class SampleAnswer:
    """What a model says of a sample.

    Attributes:
        rows: which of its images could be decoded, R of them.
        reasons: why the others could not.
        outputs: by the reading of its input, float32 (R, C). A reading that is the same as the
            one given is not there.
        written: what the model's entry in a job has to say for each reading.
        error: why the model cannot look at such images, or None.
    """

    rows: tuple[int, ...]
    reasons: tuple[str, ...]
    outputs: Mapping[str, np.ndarray]
    written: Mapping[str, str]
    error: str | None = None


@dataclass(frozen=True)
class DecodedSample(Request[SampleAnswer]):
    """The images of a sample, to be read in several ways; one evaluation each.

    Attributes:
        readings: names in `gauntlet.pipeline.run.probe.inputs.INPUTS`, or `AS_GIVEN`.
        rows: which images could be decoded.
        reasons: why the others could not.
        showing: the decoded ones; None when there is none.
    """

    readings: tuple[str, ...]
    rows: tuple[int, ...]
    reasons: tuple[str, ...]
    showing: Showing | None

    def of(self, model: Model) -> SampleAnswer:
        """Show the images under every reading."""
        given = model.preprocessing
        outputs: dict[str, np.ndarray] = {}
        wording: dict[str, str] = {}
        try:
            for name in self.readings:
                convention = read_as(name, given)
                if convention is None or self.showing is None:
                    continue
                reader = model if convention is given else model.reread(convention)
                outputs[name] = self.showing.of(reader)[0]
                wording[name] = written(given, convention)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            # A network of the person's own: whatever it says of the images, the others go on.
            reason = (str(error).strip().splitlines() or [""])[0]
            return SampleAnswer(
                self.rows, self.reasons, {}, {}, f"{type(error).__name__}: {reason}"
            )
        return SampleAnswer(self.rows, self.reasons, outputs, wording)


@dataclass(frozen=True)
class SampleRequest(Request[SampleAnswer]):
    """Look at a sample, which is decoded where the models are.

    Attributes:
        sample: names the images.
        readings: of the models' inputs, as in `DecodedSample`.
    """

    decodes = True

    sample: ImageSample
    readings: tuple[str, ...]

    def prepared(self) -> DecodedSample:
        """Decode the images."""
        return DecodedSample(self.readings, *self.sample.decode())

    def of(self, model: Model) -> SampleAnswer:
        """Decode the images, and show them."""
        return self.prepared().of(model)
