"""A job that is being checked: what of it is sound so far, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gauntlet.jobs.spec import attacks as attack_entries
from gauntlet.jobs.spec import models as model_entries
from gauntlet.jobs.spec.document import Document, Where
from gauntlet.jobs.spec.draft import Draft
from gauntlet.jobs.spec.job_problems import JobProblems
from gauntlet.jobs.spec.models import Listed
from gauntlet.jobs.spec.parts_sources import sound_parts
from gauntlet.jobs.spec.sections import sound_sections
from gauntlet.pipeline.attacks.own_parts import PartsSource
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.evaluation.threshold_rules import ThresholdRule
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import Permission, granted, permit
from gauntlet.pipeline.problems import Problem
from gauntlet.pipeline.run.plan import Evaluate, Resources, Select, Success, TaskSpec

Section = Literal["task", "root", "data", "surrogates", "targets"]
"""A part of a job that nothing stands in for when it is wrong."""


@dataclass(frozen=True)
class JobDraft:
    """A job whose parts are known one by one, whether or not they fit each other.

    Attributes:
        document: as it is written.
        sections: the top-level fields that are right by themselves, see `sound_sections`.
        permission: the code of the person's that its models' `import:` sources may run.
        parts: files and modules with parts of the person's own, loaded.
        models: every model.
        attacks: every sound attack, and where it is written.
        problems: everything that was found wrong.
    """

    document: Document
    sections: Mapping[str, Any]
    permission: Permission
    parts: Sequence[PartsSource]
    models: Sequence[Listed]
    attacks: Sequence[tuple[Attack, Draft]]
    problems: JobProblems
    _networks: dict[str, list[Problem]] = field(default_factory=dict)
    _models: dict[Where, list[Problem]] = field(default_factory=dict)

    @staticmethod
    def of(document: Document, folder: Path, allowed: Sequence[str] = ()) -> JobDraft:
        """Write a job out in full: names, derived models, grids, defaults.

        The lists are read as they are written: one wrong entry must not hide what is wrong with
        the others.

        Args:
            document: the job.
            folder: where the job file lies; its `root` is relative to it.
            allowed: folders and packages that its models may run code from, too.
        """
        problems = JobProblems(document)
        sections = sound_sections(document, folder, problems)
        # A `root` that the job itself names is not trusted.
        trusted = sections.get("root") if ("root",) in document.overrides else None
        permission = granted(allowed, job=folder, root=trusted)
        permit(permission)
        return JobDraft(
            document,
            sections,
            permission,
            sound_parts(sections, permission, problems),
            model_entries.resolve(
                {role: document.data.get(role) for role in ("surrogates", "targets")}, problems
            ),
            attack_entries.resolve(document.data.get("attacks"), problems),
            problems,
        )

    def has(self, *sections: Section) -> bool:
        """Whether all of these are sound."""
        return self.sections.keys() >= set(sections)

    @property
    def name(self) -> str:
        """Names the run."""
        name: str = self.sections["name"]
        return name

    @property
    def task(self) -> TaskSpec:
        """What the models do and what the attacker wants."""
        task: TaskSpec = self.sections["task"]
        return task

    @property
    def kind(self) -> Task | None:
        """What the models do; None where the task is wrong."""
        return self.task.kind if self.has("task") else None

    @property
    def root(self) -> Path:
        """Folder that relative paths start from."""
        root: Path = self.sections["root"]
        return root

    @property
    def data(self) -> DataSpec:
        """The images or pairs to attack."""
        data: DataSpec = self.sections["data"]
        return data

    @property
    def calibrate(self) -> DataSpec | None:
        """The pairs that thresholds are found on, where they are not those of the data."""
        calibrate: DataSpec | None = self.sections["calibrate"]
        return calibrate

    @property
    def threshold(self) -> tuple[ThresholdRule, ...]:
        """How thresholds are found: the rules, the headline first."""
        threshold: tuple[ThresholdRule, ...] = self.sections["threshold"]
        return threshold

    @property
    def success(self) -> Success | None:
        """When an attack on embeddings has succeeded."""
        success: Success | None = self.sections["success"]
        return success

    @property
    def seed(self) -> int:
        """Keys every random draw but those of attacks under further seeds."""
        return self.seeds[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds under which attacks are made."""
        seeds: tuple[int, ...] = self.sections["seeds"] or (self.sections["seed"],)
        return seeds

    @property
    def select(self) -> Select:
        """Which of them are attacked."""
        select: Select = self.sections["select"]
        return select

    @property
    def evaluate(self) -> Evaluate:
        """What is evaluated and kept."""
        evaluate: Evaluate = self.sections["evaluate"]
        return evaluate

    @property
    def resources(self) -> Resources:
        """Where the work is done."""
        resources: Resources = self.sections["resources"]
        return resources

    @property
    def output(self) -> str:
        """Folder of run folders."""
        output: str = self.sections["output"]
        return output

    def specs(self, role: str) -> tuple[ModelSpec, ...]:
        """Return the sound models of a role."""
        return tuple(m.spec for m in self.models if m.role == role and m.spec is not None)

    @property
    def networks_seen(self) -> int:
        """How many different networks `wrong_with` has looked at."""
        return len(self._networks)

    def wrong_with(self, model: Listed) -> list[Problem]:
        """Return what is wrong with a model by itself, whose spec and the job's root are sound.

        However many checks ask: a model is looked at once, and so is a network of several models.
        """
        assert model.spec is not None
        home = model.draft.home
        if home not in self._models:
            self._models[home] = build.check(
                model.spec, self.root, self.kind, self.permission, self._networks
            )
        return self._models[home]
