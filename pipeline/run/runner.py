"""A run from its plan to its tables: thresholds, a look at the models, selection, the stream."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from importlib import metadata

from gauntlet.pipeline.data.described import described
from gauntlet.pipeline.data.examples import Examples, PairList, open_examples
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.manifest import (
    AttackRecord,
    Manifest,
    SelectionRecord,
    ThresholdRecord,
    UnitsRecord,
)
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.evaluator import Evaluator
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.preparation import select, thresholds
from gauntlet.pipeline.run.probe.findings import Decide, Probe
from gauntlet.pipeline.run.probe.probe import probe
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.stream import Outcome, Stream, set_aside


class Runner:
    """Carries a plan out in a run folder, from wherever an earlier attempt stopped."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        engine: Engine,
        progress: Progress,
        decide: Decide | None = None,
    ) -> None:
        """Take up a run; ``decide`` hears what the models say of the clean data."""
        self._plan, self._folder = plan, folder
        self._engine, self._progress, self._decide = engine, progress, decide
        self._finished = folder.finished()

    def run(self) -> Outcome:
        """Run what the ledger does not have yet.

        Raises:
            BadInput: when no example is left to attack, or when a resumed run's models changed.
            Refused: when the models lack the examples' classes, or when ``decide`` says so.
        """
        started = time.perf_counter()
        plan = self._plan
        self._progress.note(f"placement: {self._engine.description}")
        manifest = self._manifest()
        self._examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
        self._tell_data(manifest)
        if manifest.thresholds is None:
            found = thresholds(plan, self._examples, self._engine, self._progress)
            if found.pairs is not None:
                self._report_left_out(found.pairs)
            manifest.thresholds = found.found
            self._save(manifest)
        if manifest.probe is None:
            manifest.probe = self._probe(manifest.thresholds).record()
            self._save(manifest)
        self._evaluator = Evaluator(plan, self._engine, manifest.thresholds)
        stream = Stream(
            plan,
            self._folder,
            self._engine,
            self._evaluator,
            self._selection(manifest),
            self._finished,
            self._progress,
        )
        outcome = stream.run(started)
        manifest.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        manifest.seconds += outcome.seconds
        manifest.units = UnitsRecord(done=outcome.units_done, failed=outcome.units_failed)
        self._save(manifest)
        return outcome

    # -- what is read --------------------------------------------------------------------------

    def _tell_data(self, manifest: Manifest) -> None:
        """Say and record what the source holds, and what of it is left out."""
        for line in described(self._examples, self._plan.data.source):
            self._progress.note(f"data: {line}")
        account = self._examples.account
        manifest.data = account.record(len(self._examples))
        self._save(manifest)
        rows = [(None, "input", f"left out: {entry}") for entry in account.left_out]
        Failures(None, rows).write(self._folder, "data")

    def _report_left_out(self, pairs: PairList) -> None:
        """Put the images that no threshold is from into `failures`."""
        why = "; its pairs give no threshold"
        rows = [(image.id, "threshold", f"{image.reason}{why}") for image in pairs.rejected]
        Failures(None, rows).write(self._folder, "threshold")

    # -- stages --------------------------------------------------------------------------------

    def _probe(self, thresholds: Mapping[str, ThresholdRecord]) -> Probe:
        found = probe(self._plan, self._examples, self._engine, thresholds)
        if summary := found.summary():
            self._progress.note(summary)
        for warning in found.warnings:
            self._progress.warn(warning)
        if self._decide is not None:
            self._decide(found)
        return found

    def _selection(self, manifest: Manifest) -> Examples:
        if not self._folder.exists("selection.json"):
            found = select(self._plan, self._examples, self._evaluator, self._progress)
            manifest.selection = SelectionRecord(kept=len(found.ids), looked_at=found.looked_at)
            self._save(manifest)
            if found.dropped:
                rows = [(example, "select", reason) for example, reason in found.dropped.items()]
                Failures(None, rows).write(self._folder, "select")
                self._progress.note(set_aside("examples", list(found.dropped)))
            self._folder.write("selection.json", json.dumps(found.ids).encode())
        chosen = self._examples.select(records.selection(self._folder))
        if not len(chosen):
            where = "select.correct" if self._plan.select.correct else "data"
            raise BadInput(Problem(where, "no example is left to attack"))
        return chosen

    # -- the manifest --------------------------------------------------------------------------

    def _manifest(self) -> Manifest:
        """Return the manifest so far, refusing to go on with other models than before."""
        plan, cards = self._plan, dict(self._engine.cards)
        manifest = Manifest(
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            name=plan.name,
            seed=plan.seed,
            task=plan.task.model_dump(mode="json"),
            evaluate=plan.evaluate.model_dump(mode="json"),
            resources=plan.resources.model_dump(mode="json"),
            placement=self._engine.description,
            attacks=[AttackRecord.model_validate(attack.summary()) for attack in plan.attacks],
            models=cards,
            software=_software(),
        )
        if self._folder.exists("manifest.json"):
            before = records.manifest(self._folder)
            changed = [
                key
                for key, card in before.models.items()
                if key not in cards or cards[key].fingerprint != card.fingerprint
            ]
            if changed:
                raise BadInput(
                    Problem(
                        self._folder.location,
                        f"cannot resume: {', '.join(changed)} changed since the run began; "
                        "put the old checkpoint back, or start a new run",
                    )
                )
            manifest = before.taken_up(manifest)
        self._save(manifest)
        return manifest

    def _save(self, manifest: Manifest) -> None:
        self._folder.write("manifest.json", manifest.text())


def _software() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("gauntlet", "torch", "torchvision", "numpy", "ray"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions
