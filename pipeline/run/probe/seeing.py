"""Showing images to models under other readings of their input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gauntlet.pipeline.models.adapter import Model
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.models import show
from gauntlet.pipeline.run.probe.inputs import read_as, written
from gauntlet.pipeline.run.probe.sample import Seen


def see(models: Iterable[Model], look: Look, readings: Sequence[str]) -> dict[str, Seen]:
    """Show images to models under several readings of their input.

    Args:
        models: whom to ask.
        look: the images.
        readings: names in `gauntlet.pipeline.run.probe.inputs.INPUTS`, or `AS_GIVEN`.

    Returns:
        Their answers by name; one evaluation each, of a randomised model, too.
    """
    return {model.name: _seen(model, look, readings) for model in models}


def _seen(model: Model, look: Look, readings: Sequence[str]) -> Seen:
    given = model.preprocessing
    outputs: dict[str, np.ndarray] = {}
    wording: dict[str, str] = {}
    try:
        for name in readings:
            convention = read_as(name, given)
            if convention is None:
                continue
            reader = model if convention is given else model.reread(convention)
            outputs[name] = show(reader, look)[0]
            wording[name] = written(given, convention)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        # A network of the person's own: whatever it says of the images, the others go on.
        reason = (str(error).strip().splitlines() or [""])[0]
        return Seen({}, {}, f"{type(error).__name__}: {reason}")
    return Seen(outputs, wording)
