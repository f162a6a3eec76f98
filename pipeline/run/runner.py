"""A run from its plan to its tables: thresholds, a look at the models, selection, the stream."""

from __future__ import annotations

import json
import platform
import time
from importlib import metadata
from typing import Any

from gauntlet.pipeline.data.described import described
from gauntlet.pipeline.data.examples import Examples, PairList, open_examples
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.folder import RunFolder
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
        record = self._record()
        self._examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
        self._tell_data(record)
        if "thresholds" not in record:
            found = thresholds(plan, self._examples, self._engine, self._progress)
            if found.pairs is not None:
                self._report_left_out(found.pairs)
            record["thresholds"] = found.found
            self._save(record)
        if "probe" not in record:
            record["probe"] = self._probe(record["thresholds"]).record()
            self._save(record)
        self._evaluator = Evaluator(plan, self._engine, record["thresholds"])
        stream = Stream(
            plan,
            self._folder,
            self._engine,
            self._evaluator,
            self._selection(record),
            self._finished,
            self._progress,
        )
        outcome = stream.run(started)
        record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        record["seconds"] = record.get("seconds", 0.0) + outcome.seconds
        record["units"] = {"done": outcome.units_done, "failed": outcome.units_failed}
        self._save(record)
        return outcome

    # -- what is read --------------------------------------------------------------------------

    def _tell_data(self, record: dict[str, Any]) -> None:
        """Say and record what the source holds, and what of it is left out."""
        for line in described(self._examples, self._plan.data.source):
            self._progress.note(f"data: {line}")
        account = self._examples.account
        record["data"] = {"examples": len(self._examples), **account.record()}
        self._save(record)
        rows = [(None, "input", f"left out: {entry}") for entry in account.left_out]
        Failures(None, rows).write(self._folder, "data")

    def _report_left_out(self, pairs: PairList) -> None:
        """Put the images that no threshold is from into `failures`."""
        why = "; its pairs give no threshold"
        rows = [(image.id, "threshold", f"{image.reason}{why}") for image in pairs.rejected]
        Failures(None, rows).write(self._folder, "threshold")

    # -- stages --------------------------------------------------------------------------------

    def _probe(self, thresholds: dict[str, Any]) -> Probe:
        found = probe(self._plan, self._examples, self._engine, thresholds)
        if summary := found.summary():
            self._progress.note(summary)
        for warning in found.warnings:
            self._progress.warn(warning)
        if self._decide is not None:
            self._decide(found)
        return found

    def _selection(self, record: dict[str, Any]) -> Examples:
        if not self._folder.exists("selection.json"):
            found = select(self._plan, self._examples, self._evaluator, self._progress)
            record["selection"] = {"kept": len(found.ids), "looked_at": found.looked_at}
            self._save(record)
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

    def _record(self) -> dict[str, Any]:
        """Return the manifest so far, refusing to go on with other models than before."""
        cards = {key: vars(card) for key, card in self._engine.cards.items()}
        if self._folder.exists("manifest.json"):
            record = records.manifest(self._folder)
            changed = [
                key
                for key, card in record.get("models", {}).items()
                if cards.get(key, {}).get("fingerprint") != card["fingerprint"]
            ]
            if changed:
                raise BadInput(
                    Problem(
                        self._folder.location,
                        f"cannot resume: {', '.join(changed)} changed since the run began; "
                        "put the old checkpoint back, or start a new run",
                    )
                )
        else:
            record = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        record |= {
            "name": self._plan.name,
            "seed": self._plan.seed,
            "task": self._plan.task.model_dump(mode="json"),
            "evaluate": self._plan.evaluate.model_dump(mode="json"),
            "resources": self._plan.resources.model_dump(mode="json"),
            "placement": self._engine.description,
            "attacks": [attack.summary() for attack in self._plan.attacks],
            "models": cards,
            "software": _software(),
        }
        self._save(record)
        return record

    def _save(self, record: dict[str, Any]) -> None:
        self._folder.write("manifest.json", json.dumps(record, indent=2).encode())


def _software() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("gauntlet", "torch", "torchvision", "numpy", "ray"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions
