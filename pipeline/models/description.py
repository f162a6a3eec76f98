"""What is known of a model: said by its source, then by the job, and held by whatever needs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.defences.defence import Defence
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class Description:
    """What a model takes, gives and is; `str` is its line in `gauntlet check`.

    Attributes:
        task: what the output is for; None when a source leaves it to the job.
        preprocessing: how a canonical image becomes the network's input.
        adversarial: how the weights were trained adversarially, in words; False when a source knows
            that they were not, None when nothing is known.
        classes: number of a classifier's logits, where it is known without building it.
        class_names: names of a classifier's classes by label, where its weights come with them.
        ran: files of the person's own code that make the network; they have been run.
        guessed: the architecture that a file's entries told, where the job names none.
        name: unique within a job.
        source: the spec's, with the architecture if one is named.
        defence: transform in front of everything, or None.
    """

    task: Task | None = None
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    adversarial: str | Literal[False] | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    ran: tuple[Path, ...] = ()
    guessed: str | None = None
    name: str = "model"
    source: str = ""
    defence: Defence | None = None

    def __str__(self) -> str:
        classes = f", {self.classes:,} classes" if self.classes else ""
        task = f"{self.task.value}{classes}; " if self.task else ""
        defence = f"; behind {self.defence}" if self.defence else ""
        training = f"; adversarially trained ({self.adversarial})" if self.adversarial else ""
        ran = f"; ran {' and '.join(map(str, self.ran))}" if self.ran else ""
        return f"{self.name}: {self.source}{ran}; {task}{self.preprocessing}{defence}{training}"

    def stated(self, spec: ModelSpec) -> Description:
        """Return a source's description with what a job says of the model in its place."""
        own = self.preprocessing
        architecture = spec.architecture or (self.guessed and f"{self.guessed}, by its entries")
        return replace(
            self,
            name=spec.name,
            source=spec.source + (f" ({architecture})" if architecture else ""),
            task=self.task or spec.task,
            preprocessing=Preprocessing(
                input_size=spec.input_size or own.input_size,
                mean=spec.mean or own.mean,
                std=spec.std or own.std,
                channels=spec.channels or own.channels,
                resize=spec.resize or own.resize,
                mirror=spec.mirror,
            ),
            adversarial=self.adversarial or ("as the job states" if spec.adversarial else None),
            defence=spec.defence,
        )

    def contradiction(self, spec: ModelSpec) -> str | None:
        """Return what a source knows of the weights' training and the job denies, or None."""
        if spec.adversarial is False and self.adversarial:
            return f"{spec.source} was trained adversarially ({self.adversarial})"
        if spec.adversarial and self.adversarial is False:
            return f"{spec.source} was not trained adversarially"
        return None
