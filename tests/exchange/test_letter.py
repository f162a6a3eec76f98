"""Arrays stay in shared memory, the rest travels; who reads gets the same thing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.exchange.letter import Letter
from gauntlet.pipeline.exchange.mapped import Mapped


def test_what_is_read_is_what_was_sent_and_the_arrays_did_not_travel() -> None:
    images = np.arange(30_000, dtype=np.uint8).reshape(2, 3, 5000)
    thing = {"images": images, "names": ("a", "b"), "nothing": np.zeros((0, 3))}
    letter, area = Letter.of(thing, Arena())
    sent = pickle.dumps(letter)
    assert len(sent) < 2000
    found = pickle.loads(sent).read(Mapped())
    assert found["names"] == ("a", "b")
    assert np.array_equal(found["images"], images)
    assert found["images"].dtype == np.uint8
    assert found["nothing"].shape == (0, 3)
    # The memory is one: what is read was not copied.
    area.tensor(letter.enclosed[0]).numpy()[0] = 77
    assert found["images"][0, 0, 0] == 77


def test_an_area_is_lent_again_only_when_it_was_given_back() -> None:
    arena = Arena()
    first, area = Letter.of(np.full(5000, 1.0), arena)
    second, _other = Letter.of(np.full(5000, 2.0), arena)
    assert first.read(Mapped())[0] == 1.0
    assert second.read(Mapped())[0] == 2.0
    del area
    third, _third = Letter.of(np.full(5000, 3.0), arena)
    assert third.memory == first.memory


def test_without_room_there_is_an_error_before_anything_is_sent() -> None:
    with pytest.raises(OSError, match="more than the 4096 bytes"):
        Letter.of(np.zeros(5000), Arena(limit=4096))
