"""Whom the images of a gallery show: people where both sources tell them, else single images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.gallery_images import GalleryImages, open_gallery
from gauntlet.pipeline.models.sources.permission import NOTHING, granted, permit
from tests.toys.datasets import grow, opened, spec, write_image, write_lfw, write_npz, write_text


def gallery(root: Path, attacked: Examples, /, **fields: Any) -> GalleryImages:
    return open_gallery(spec(**fields), attacked, root=root, seed=0)


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    grow(tmp_path / "staff", "ann/1.png", "ann/2.png", "bob/1.png", "cy/1.png")
    grow(tmp_path / "team", "mallory/1.png", "eve/1.png")
    return tmp_path


def test_people_are_known_across_sources(staff: Path) -> None:
    team = opened(
        staff, Goal.IMPERSONATION, source="red-team", attackers="team", victims="staff", limit=2
    )
    victims = [example.split("|")[1].split("/")[:2] for example in team.ids]
    assert victims == [["staff", "ann"], ["staff", "bob"]]
    found = gallery(staff, team, source="images", root="staff")
    names = [found.examples.image_names[place] for place in found.positions]
    assert names == ["ann/1.png", "ann/2.png", "bob/1.png", "cy/1.png"]
    assert found.shows.tolist() == [0, 0, 1, 2]
    assert [*found.victims.values()] == [0, 1]
    assert found.lacks(2) is None
    too_few = found.lacks(3) or ""
    assert too_few.startswith("rank 3 needs as many images of others, and there are 2 beside those")
    assert too_few.endswith(f" of the victim of {team.ids[0]!r}")


def test_without_people_an_image_is_itself_alone(staff: Path) -> None:
    write_text(
        staff / "pairs.csv", "file_a,file_b,same", "cy/1.png,ann/1.png,0", "ann/1.png,ann/2.png,1"
    )
    pairs: dict[str, Any] = {"source": "pairs", "images": "staff", "pairs": "pairs.csv", "folds": 2}
    attacked = opened(staff, Goal.IMPERSONATION, **pairs)
    found = gallery(staff, attacked, source="images", root="staff")
    assert found.shows.tolist() == [0, 1, 2, 3]
    assert found.victims == {"cy/1.png|ann/1.png": 0}
    # Of a gallery that is a list of pairs, the images of both sides of those that it chooses.
    both = gallery(staff, attacked, **pairs)
    assert len(both) == 2
    assert found.fingerprint != both.fingerprint


def test_images_by_themselves_are_a_gallery_of_any_size(staff: Path) -> None:
    team = opened(staff, Goal.IMPERSONATION, source="red-team", attackers="team", victims="staff")
    assert len(gallery(staff, team, source="images", root="staff", limit=2)) == 2
    grow(staff / "one", "zoe/1.png", "zoe/2.png")
    assert gallery(staff, team, source="images", root="one").victims == {}


def test_labelled_images_and_other_folders_may_be_a_gallery(staff: Path) -> None:
    write_npz(staff / "crowd.npz", 6)
    attacked = opened(staff, Goal.DODGING, source="images", root="staff")
    found = gallery(staff, attacked, source="npz", path="crowd.npz", limit=5)
    assert len(found) == 5
    assert found.victims == {}
    assert found.lacks(6) == "rank 6 needs as many images of others, and there are 5"


def test_own_code_may_make_a_gallery(staff: Path) -> None:
    (staff / "crowd.py").write_text(
        "import numpy as np\n"
        "def crowd(): return [(np.full((8, 8, 3), 40 * n, np.uint8), n % 2) for n in range(4)]\n"
    )
    permit(granted(job=staff))
    attacked = opened(staff, Goal.IMPERSONATION, source="images", root="staff")
    found = gallery(staff, attacked, source="import", factory="crowd:crowd")
    permit(NOTHING)
    assert found.examples.image_names[int(found.positions[0])] == "crowd/0"
    assert found.shows.tolist() == [0, 1, 2, 3]
    assert found.victims == {}


def test_people_of_a_published_layout_are_its_folders(tmp_path: Path) -> None:
    write_lfw(tmp_path / "lfw")
    attacked = opened(tmp_path, Goal.IMPERSONATION, source="lfw", root="lfw")
    found = gallery(tmp_path, attacked, source="images", root="lfw", size=[20, 20])
    assert found.shows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.victims[attacked.ids[0]] == 1  # Person_00 against Person_01


def test_what_cannot_be_decoded_is_set_aside(staff: Path) -> None:
    (staff / "staff" / "bob" / "1.png").write_bytes(b"no image")
    write_image(staff / "staff" / "dan" / "1.png")
    attacked = opened(staff, Goal.DODGING, source="images", root="staff")
    found, rejected = gallery(staff, attacked, source="images", root="staff").readable()
    assert [image.id for image in rejected] == ["bob/1.png"]
    assert len(found) == len(found.shows) == 4
    assert found.lacks(4) is not None  # others beside ann's; bob has no image left
    (staff / "staff" / "dan" / "1.png").write_bytes(b"no image")  # the last of the victims
    least, _ = gallery(staff, attacked, source="images", root="staff").readable()
    assert (least.lacks(1), len(least)) == (None, 3)
