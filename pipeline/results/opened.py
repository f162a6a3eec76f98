"""A run as a notebook has it: its tables as pandas frames, its images as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from gauntlet.pipeline import results
from gauntlet.pipeline.problems import suggest
from gauntlet.pipeline.results.manifest import Manifest
from gauntlet.pipeline.results.parquet import PIXELS
from gauntlet.pipeline.results.reading import Reading, one_of, under
from gauntlet.pipeline.results.records import check_run
from gauntlet.pipeline.results.schema import TABLES

if TYPE_CHECKING:
    from torch import Tensor


def open_run(location: str | PathLike[str]) -> Run:
    """Return the run in a folder, whether it is finished, stopped or at work.

    Args:
        location: the run's folder, or ``s3://bucket/prefix``, ``gs://...``, ``az://...``.

    Raises:
        BadInput: when there is no run.
    """
    check_run(str(location))
    return Run(str(location))


class Run:
    """A run's tables, each read when it is first asked for, and then kept.

    Rows are those that the run's record lists, of `docs/results.md`; a damaged file is refused with
    what to do.

    Attributes:
        location: its folder.
    """

    def __init__(self, location: str) -> None:
        self.location = location

    def __repr__(self) -> str:
        return f"Run({self.location!r})"

    @cached_property
    def manifest(self) -> Manifest:
        """What the run recorded about its models, attacks, thresholds and software."""
        return results.manifest(self.location)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row an adversarial image, without its pixels: `images` has those."""
        names = [name for name in TABLES["examples"].names if name != PIXELS]
        return results.read(self.location, "examples", names)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """One row an adversarial image x target x judged step."""
        return results.read(self.location, "verdicts")

    @cached_property
    def traces(self) -> pd.DataFrame:
        """One row an image x update."""
        return results.read(self.location, "traces")

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """One row an adversarial image x surrogate, if the job asked for interactions."""
        return results.read(self.location, "interactions")

    @cached_property
    def thresholds(self) -> pd.DataFrame:
        """One row a target x rule of its thresholds; none for classifiers."""
        return results.read(self.location, "thresholds")

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row a thing that went wrong, with its reason."""
        return results.read(self.location, "failures")

    def images(self, ids: Sequence[str], attack: str, seed: int | None = None) -> Tensor:
        """Return adversarial images in the order of the ids, float32 (B, 3, H, W) in [0, 1].

        Args:
            ids: of examples.
            attack: label of the attack that made them.
            seed: under which; the run's first by default.

        Raises:
            ValueError: when there is no such attack or example, or no image of it was kept.
            TypeError: when ids are no list of text.
            BadInput: when a file is damaged.
        """
        import torch  # a notebook that reads tables alone does not wait for it

        if isinstance(ids, str):
            raise TypeError(f"ids must be a list, got one id: write [{ids!r}]")
        if others := [example for example in ids if not isinstance(example, str)]:
            first = self.examples["example"]
            such = f", such as {first.iloc[0]!r}" if len(first) else ""
            raise TypeError(f"ids are text{such}: got {others[0]!r}")
        if attack not in (labels := self.manifest.labels):
            raise ValueError(suggest(attack, labels, "attack"))
        wanted = (pc.field("attack") == attack) & one_of("example", [*{*ids}])
        wanted &= under(self.manifest.seed if seed is None else seed)
        names = ["example", "height", "width", "dtype", PIXELS]
        rows = Reading(self.location).rows("examples", names, wanted).set_index("example")
        of = "" if seed is None else f" under seed {seed}"
        for example in ids:
            if example not in rows.index:
                raise ValueError(f"{self.location} has no image of {example!r} by {attack!r}{of}")
        if rows[PIXELS].isna().any():
            raise ValueError(f"{self.location} kept no images: its job says `images: false`")
        arrays = [results.decode_image(row) for _, row in rows.loc[[*ids]].iterrows()]
        if not arrays:
            return torch.empty(0, 3, 0, 0)
        stacked = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
        # Levels in float64 first: the last bit is then that of the images that were judged.
        return stacked.double().div(255 if stacked.dtype is torch.uint8 else 1).float()
