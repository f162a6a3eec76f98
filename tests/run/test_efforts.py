"""When carriers' own work limits a run: told by all of them, after their first loops."""

import pytest

from gauntlet.pipeline.run.efforts import ENOUGH, Efforts
from gauntlet.pipeline.run.order import Spent


@pytest.mark.parametrize(("own", "waited", "share"), [(3.0, 1.0, 0.75), (1.0, 3.0, None)])
def test_carriers_are_the_limit_when_most_of_their_time_is_their_own(own, waited, share):
    efforts, half = Efforts(), ENOUGH // 2
    told = [Spent(own=100.0, waited=0.0)] * half + [Spent(own, waited)] * half  # first, starting up
    assert [efforts.limiting(0, spent, {0}) for spent in told] == [None] * (ENOUGH - 1) + [share]


def test_all_carriers_are_heard_first_and_anew_after_each_answer():
    efforts, busy = Efforts(), Spent(3.0, 1.0)
    assert [efforts.limiting(0, busy, {0, 1}) for _ in range(2 * ENOUGH)] == [None] * 2 * ENOUGH
    found = [efforts.limiting(1, busy, {0, 1}) for _ in range(2 * ENOUGH)]
    assert found == [None] * (ENOUGH - 1) + [0.75] + [None] * ENOUGH


def test_a_carrier_that_was_lost_is_waited_for_no_longer():
    efforts, busy = Efforts(), Spent(3.0, 1.0)
    efforts.limiting(1, busy, {0, 1})
    found = [efforts.limiting(0, busy, {0}) for _ in range(ENOUGH)]
    assert found == [None] * (ENOUGH - 1) + [0.75]
