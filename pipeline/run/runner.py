"""A run from plan to tables: thresholds, a look at the models, selection, stream, compaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gauntlet.pipeline.data.described import described
from gauntlet.pipeline.data.examples import PairList, open_examples
from gauntlet.pipeline.data.listing import Positions
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.manifest import (
    AttackRecord,
    CostRecord,
    Manifest,
    SelectionRecord,
    ThresholdRecord,
    UnitsRecord,
)
from gauntlet.pipeline.results.record.damage import Damage, difference_words, outdated
from gauntlet.pipeline.results.record.entries import (
    Change,
    Chosen,
    Commit,
    Repair,
    TableFile,
    digest_of_list,
)
from gauntlet.pipeline.results.record.mending import mend
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.batches import batches
from gauntlet.pipeline.run.calibration import thresholds
from gauntlet.pipeline.run.costs import StageClock, by_first_units
from gauntlet.pipeline.run.engine import Carries, Engine
from gauntlet.pipeline.run.gallery import find_gallery
from gauntlet.pipeline.run.pauses import Pauses
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.findings import Decide, Probe
from gauntlet.pipeline.run.probe.probe import probe
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.rows.thresholds import threshold_columns
from gauntlet.pipeline.run.selection import select
from gauntlet.pipeline.run.software import software
from gauntlet.pipeline.run.stream import Outcome, Stream, set_aside
from gauntlet.pipeline.run.taking_up import other_devices, taken_up, write_plan
from gauntlet.pipeline.run.unit import UnitIds

RECUT = "examples that no unit has begun are cut anew, and the last bits of their rows may differ"
"""What another `resources.batch` means for a run that goes on."""

Foretold = Callable[[Iterable[str]], CostRecord | None]


class Runner:
    """Carries a plan out in a run folder, from wherever an earlier attempt stopped."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        engine: Engine,
        progress: Progress,
        decide: Decide | None = None,
        guard: Callable[[], None] | None = None,
        begun: float | None = None,
        foretold: Foretold | None = None,
    ) -> None:
        """Take up a run.

        Args:
            plan: what to do.
            folder: takes the rows.
            engine: holds the models.
            progress: who listens.
            decide: hears what the models say of the clean data.
            guard: asked before anything is recorded; raises when this process may record nothing.
            begun: when the run was asked for, by `time.perf_counter`; now by default.
            foretold: tells what it is expected to take, by the fingerprints of its models.
        """
        self._plan, self._folder, self._names = plan, folder, UnitIds(plan)
        self._engine, self._progress, self._decide = engine, progress, decide
        self._guard, self._foretold = guard, foretold
        self._begun = time.perf_counter() if begun is None else begun
        pauses = Pauses(plan.resources.storage_patience_s, progress.note)
        self._insist = pauses.patience(folder.location).insist

    def run(self) -> Outcome:
        """Run what the record does not have yet.

        Raises:
            BadInput: when no example is left to attack, or when a resumed run's models changed;
                when the folder holds another plan's run.
            StorageFailed: when storage refuses what is written, for as long as it is tried.
            Refused: when the models lack the examples' classes, or when ``decide`` says so.
        """
        started = time.perf_counter()
        plan, clock = self._plan, StageClock(self._begun)
        self._progress.note(f"placement: {self._engine.description}")
        self._record, damage = taken_up(plan, self._folder, self._progress, self._guard)
        self._record.insist = self._insist
        manifest = self._manifest()
        self._examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
        self._tell_data(manifest)
        with clock.of("thresholds"):
            self._find_thresholds(manifest, damage)
            gallery = self._find_gallery(manifest)
        assert manifest.thresholds is not None
        if manifest.probe is None:
            with clock.of("look"):
                manifest.probe = self._probe(manifest.thresholds).record()
            self._save(manifest)
        with clock.of("start"):
            carriers = self._engine.carriers(
                self._examples, manifest.thresholds, self._folder, gallery
            )
        with clock.of("selection"):
            chosen = self._selection(manifest, carriers)
        self._settle(chosen, damage)
        before, lanes = {*self._record.units}, sum(carrier.lanes for carrier in carriers)
        stream = Stream(
            plan,
            self._folder,
            carriers,
            self._engine.losses,
            self._examples,
            chosen,
            self._record,
            self._progress,
            self._engine.another,
        )
        with clock.of("attacks"):
            outcome = stream.run(started)
        done, failed = outcome.units_done, outcome.units_failed
        self._progress.log(f"all work is done: {done:,} units, {failed:,} failed")
        manifest.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        manifest.seconds += outcome.seconds
        manifest.units = UnitsRecord(done=outcome.units_done, failed=outcome.units_failed)
        self._save(manifest)
        if not outcome.units_failed:
            with clock.of("compaction"):
                compact(self._folder, self._record, self._progress, insist=self._insist)
        fresh = {unit: done for unit, done in self._record.units.items() if unit not in before}
        marks = [card.fingerprint for card in self._engine.cards.values()]
        planned = None if self._foretold is None else self._foretold(marks)
        manifest.foretold = planned or by_first_units(fresh, lanes)
        if excess := self._record.excess:
            manifest.excess = excess
        manifest.measured = clock.cost(len(fresh), self._record.files)
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
        self._report("data", [(None, "input", f"left out: {entry}") for entry in account.left_out])

    def _report_left_out(self, pairs: PairList) -> None:
        """Put the images that no threshold is from into `failures`."""
        why = "; its pairs give no threshold"
        rows = [(image.id, "threshold", f"{image.reason}{why}") for image in pairs.rejected]
        self._report("threshold", rows)

    def _report(self, name: str, rows: Sequence[tuple[str | None, str, str]]) -> None:
        """Put rows that are no unit's into `failures`, in place of an earlier attempt's."""
        failures = Failures()
        for row in rows:
            failures.add(*row)
        self._put("failures", name, failures.columns())

    def _put(self, table: str, name: str, columns: Mapping[str, Any]) -> None:
        """Put rows that are no unit's into a table, in place of an earlier attempt's."""
        listed = f"{table}/{name}.parquet"
        if not columns:
            if listed in self._record.files:
                self._record.append(Repair(files=(listed,)))
            return

        def write() -> TableFile:
            file = self._folder.write_rows(table, name, columns, units=())
            if self._record.files.get(file.name) != file:
                self._folder.sync([file.name])
            return file

        file = self._insist(write)
        if self._record.files.get(file.name) != file:
            self._record.append(Commit(files=(file,)))

    # -- stages --------------------------------------------------------------------------------

    def _find_thresholds(self, manifest: Manifest, damage: Damage) -> None:
        """Find the models' thresholds, unless they are known, and whose rows are there."""
        known = manifest.thresholds
        if self._record.thresholds is not None:
            known = self._record.thresholds
        if known is None or "failures/threshold.parquet" in damage.gone:
            found = thresholds(self._plan, self._examples, self._engine, self._progress)
            if found.pairs is not None:
                self._report_left_out(found.pairs)
            known = found.found if known is None else known
        if manifest.thresholds != known:
            manifest.thresholds = known
            self._save(manifest)
        targets = [spec.name for spec in self._plan.targets]
        self._put("thresholds", "targets", threshold_columns(targets, known))

    def _find_gallery(self, manifest: Manifest) -> Gallery | None:
        """Find the gallery of a job by rank, refusing another one than the run began with."""
        found = find_gallery(self._plan, self._examples, self._engine, self._progress)
        if found is None:
            return None
        if manifest.gallery not in (None, found.record):
            what = "cannot resume: the images of the gallery are others than when the run began"
            raise BadInput(Problem(self._folder.location, what))
        why = "; it is no part of the gallery"
        rows = [(image.id, "gallery", f"{image.reason}{why}") for image in found.rejected]
        self._report("gallery", rows)
        manifest.gallery = found.record
        self._save(manifest)
        return found.gallery

    def _probe(self, thresholds: Mapping[str, ThresholdRecord]) -> Probe:
        found = probe(self._plan, self._examples, self._engine, thresholds)
        if summary := found.summary():
            self._progress.note(summary)
        for warning in found.warnings:
            self._progress.warn(warning)
        if self._decide is not None:
            self._decide(found)
        return found

    def _selection(self, manifest: Manifest, carriers: Sequence[Carries]) -> Positions:
        """Return the positions of the examples to attack, int64."""
        if self._folder.exists("selection.json"):
            ids = records.selection(self._folder, self._examples.ids)
        else:
            found = select(self._plan, self._examples, carriers, self._progress)
            manifest.selection = SelectionRecord(kept=len(found.ids), looked_at=found.looked_at)
            self._save(manifest)
            rows = [(example, "select", reason) for example, reason in found.dropped.items()]
            self._report("select", rows)
            if found.dropped:
                self._progress.note(set_aside("examples", list(found.dropped)))
            ids = found.ids
            self._write("selection.json", records.selection_text(ids))
        self._record_choice(ids, manifest)
        chosen = self._examples.positions(ids)
        if not len(chosen):
            where = "select.correct" if self._plan.select.correct else "data"
            raise BadInput(Problem(where, "no example is left to attack"))
        return chosen

    def _record_choice(self, ids: Sequence[str], manifest: Manifest) -> None:
        """Record thresholds and examples, or compare the examples with what was recorded."""
        assert manifest.thresholds is not None
        found = Chosen(
            thresholds=manifest.thresholds, examples=len(ids), digest=digest_of_list(ids)
        )
        if self._record.chosen is None:
            self._record.append(found)
        elif found.digest != self._record.chosen.digest:
            what = (
                f"cannot resume: the {len(ids):,} examples chosen now are not the "
                f"{self._record.chosen.examples:,} that the run began with; put the data back "
                "as it was, or start a new run"
            )
            raise BadInput(Problem(self._folder.location, what))

    def _settle(self, chosen: Positions, damage: Damage) -> None:
        """Record where and how the rest is done, if that changed."""
        record, now = self._record, self._plan.model_dump(mode="json")
        assert record.plan is not None
        before = Plan.model_validate_json(json.dumps(record.plan))
        if damage.entries:
            self._drop_strangers(chosen)
        if fields := difference_words(before.model_dump(mode="json"), now):
            kept, note = record.kept, ""
            if before.resources.batch != self._plan.resources.batch:
                cut = batches(len(chosen), before.resources.batch, kept)
                begun = (part for part in cut if record.units.keys() & self._units_of(chosen, part))
                kept = tuple((part.start, part.stop) for part in begun)
                note = RECUT
            record.append(Change(plan=now, fields=fields, note=note, kept=kept))
            means = f"; {note}" if note else ""
            self._progress.note(f"goes on with {', '.join(fields)}{means}")
        write_plan(self._folder, record.plan)

    def _drop_strangers(self, chosen: Positions) -> None:
        """Take out units of a cut into batches that the record knows no more."""
        record = self._record
        cut = batches(len(chosen), self._plan.resources.batch, record.kept)
        known = {unit for part in cut for unit in self._units_of(chosen, part)}
        if strangers := record.units.keys() - known:
            where = self._folder.location
            mend(self._folder, record, outdated(where, record, {}, frozenset(strangers)))

    def _units_of(self, chosen: Positions, part: range) -> set[str]:
        ids = [self._examples.ids[chosen[position]] for position in part]
        return {*self._names.of(ids)}

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
            software=software(),
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
            if said := other_devices(before.models, cards):
                self._progress.warn(said)
            manifest = before.taken_up(manifest)
        self._save(manifest)
        return manifest

    def _save(self, manifest: Manifest) -> None:
        self._write("manifest.json", manifest.text())

    def _write(self, name: str, content: bytes) -> None:
        self._insist(lambda: self._folder.write(name, content))
