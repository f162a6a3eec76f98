"""A run takes as long as its bottleneck, or as its units do one after the other."""

import pytest

from gauntlet.pipeline.run.forecast import Stage, forecast


def test_one_process_does_everything_in_turn() -> None:
    found = forecast([Stage("here", {"surrogates": 30.0, "targets": 12.0}, 1)], units=7, lanes=1)
    assert found.seconds == pytest.approx(42)
    assert (found.bottleneck.name, found.bottleneck.mostly) == ("here", "surrogates")
    assert not found.in_flight
    assert found.busy == {"here": pytest.approx(1)}


def test_with_enough_in_flight_the_slowest_stage_is_all_that_counts() -> None:
    stages = [Stage("workers", {"surrogates": 80.0}, 4), Stage("judge", {"targets": 30.0}, 1)]
    found = forecast(stages, units=100, lanes=8)
    assert found.seconds == pytest.approx(30)
    assert found.bottleneck.name == "judge"
    assert found.busy == {"workers": pytest.approx(2 / 3), "judge": pytest.approx(1)}


def test_too_few_in_flight_leave_every_stage_waiting() -> None:
    stages = [Stage("workers", {"surrogates": 80.0}, 4), Stage("judge", {"targets": 20.0}, 1)]
    found = forecast(stages, units=100, lanes=2)
    assert found.in_flight
    assert found.seconds == pytest.approx(50)


def test_a_last_round_with_empty_places_takes_as_long_as_any() -> None:
    stage = Stage("workers", {"surrogates": 30.0}, 2)
    assert forecast([stage], units=3, lanes=4).seconds == pytest.approx(20)
    assert forecast([stage], units=300, lanes=4).seconds == pytest.approx(15)


def test_processes_cannot_do_more_than_their_cores() -> None:
    stages = [Stage("workers", {"surrogates": 20.0}, 2), Stage("judge", {"targets": 10.0}, 1)]
    cores = Stage("cores", {"surrogates": 20.0, "targets": 10.0}, 2)
    found = forecast(stages, units=100, lanes=8, shared=[cores])
    assert found.seconds == pytest.approx(15)
    assert (found.bottleneck.name, found.bottleneck.mostly) == ("cores", "surrogates")


def test_nothing_to_do_is_no_run() -> None:
    with pytest.raises(ValueError, match="a unit of work at least"):
        forecast([Stage("here", {"surrogates": 1.0}, 1)], units=0, lanes=1)
