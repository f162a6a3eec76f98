"""How much a run writes is counted with all that its rows have."""

from __future__ import annotations

from pathlib import Path

from gauntlet.pipeline.evaluation.threshold_rules import FalseAccepts
from gauntlet.pipeline.run.amounts import amounts
from tests.toys.jobs import plan


def test_each_further_rule_of_thresholds_widens_the_verdicts(tmp_path: Path) -> None:
    one = plan(tmp_path)
    rules = ("accuracy", *(FalseAccepts(far=rate) for rate in (0.1, 0.01, 0.001)))
    several = one.model_copy(update={"threshold": rules})
    before, after = (
        {found.table: found for found in amounts(job, 4_000_000, (8, 8), 1)}
        for job in (one, several)
    )
    assert after["verdicts"].rows == before["verdicts"].rows
    assert after["verdicts"].bytes == before["verdicts"].bytes + 3 * before["verdicts"].rows
    assert after["verdicts"].parts > before["verdicts"].parts
    assert after["examples"].bytes == before["examples"].bytes
