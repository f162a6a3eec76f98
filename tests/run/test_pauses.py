"""A pause is said once when it begins, and once when it is over, whoever waits."""

from __future__ import annotations

from gauntlet.pipeline.run.pauses import DRIVER, Pauses


def test_several_who_wait_are_one_pause() -> None:
    said: list[str] = []
    pauses = Pauses(5, said.append)
    pauses.stalled(DRIVER, "runs/a: No space left on device")
    pauses.stalled(0, "runs/a: No space left on device")
    pauses.stalled(DRIVER, "")
    (begun,) = said
    assert begun.startswith("runs/a: No space left on device: the run pauses")
    assert "for 5 s (resources.storage_patience_s)" in begun
    pauses.stalled(0, "")
    assert said[1:] == ["what waited could be written: the run goes on"]
    pauses.stalled(1, "")
    assert len(said) == 2
