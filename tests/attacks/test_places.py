"""Each of the nine places takes a new part: one subclass, registered, and nothing else edited."""

import pytest
import torch
from torch import nn

from gauntlet.pipeline.attacks import part as parts
from gauntlet.pipeline.attacks.combine.rule import GradientRule
from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Part, Place, catalogue
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.points.point import QueryPoint
from gauntlet.pipeline.attacks.starts.start import Start
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.batch import Task
from tests.toys.surrogates import images, linear, recipe, run_float, scalar_batch, vectors

EPSILON = 4 / 255


class Whiter(Start):
    token, paper = "new-start", "nobody"

    def point(self, clean, ball, draws):
        return ball.project(clean + 1, clean)


class Mirrored(View):
    token, paper = "new-view", "nobody"

    def apply(self, images, copy, draws):
        return images.flip(3)


class Negated(Surgery):
    token, paper = "new-surgery", "nobody"

    def rewrite(self, network):
        class Minus(nn.Module):
            def forward(self, images):
                return -network(images)

        return Minus()


class Lowered(Objective):
    token, paper = "new-objective", "nobody"
    tasks = frozenset({Task.CLASSIFICATION})

    def prepare(self, model, batch, draws):
        return {}

    def of_outputs(self, outputs, known, goal):
        return -outputs[:, 0]


class Outweighed(Penalty):
    token, paper = "new-penalty", "nobody"

    def prepare(self, model, batch, draws):
        return {}

    def terms(self, points, known, goal, forward, objective, draws):
        for piece in objective.terms(points, known, goal, forward):
            yield -2 * piece


class Flipped(Filter):
    token, paper = "new-filter", "nobody"

    def apply(self, gradient):
        return gradient.flip(3)


class Last(GradientRule):
    token, paper = "new-rule", "nobody"

    def combine(self, gradients):
        last = gradients[-1]
        return last, last.new_zeros(len(last), len(gradients)), None


class Asked(QueryPoint):
    token, paper = "new-point", "nobody"

    def move(self, points, iteration):
        return torch.zeros_like(points)


class Backwards(Update):
    token, paper = "new-update", "nobody"

    def advance(self, points, direction, memory, step):
        return step.take(points, -direction), None


FIRST, LAST = vectors(2)
NEW = [
    (Whiter, {"base": "new-start", "steps": 0}, torch.ones_like(FIRST)),
    (Mirrored, {"base": "new-view-mi"}, (FIRST + LAST).flip(2)),
    (Negated, {"base": "new-surgery-mi"}, -(FIRST + LAST)),
    (Lowered, {"objective": "new-objective"}, -(FIRST + LAST)),
    (Outweighed, {"base": "i+new-penalty"}, -(FIRST + LAST)),
    (Flipped, {"base": "new-filter"}, (FIRST + LAST).flip(2)),
    (Last, {"combine": "new-rule"}, LAST),
    (Asked, {"base": "new-point"}, FIRST + LAST),
    (Backwards, {"base": "new-update"}, -(FIRST + LAST)),
]


@pytest.fixture(autouse=True)
def _catalogue_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue()  # everything that is there has been imported
    monkeypatch.setattr(parts, "_catalogue", dict(parts._catalogue))


def test_every_place_is_tried() -> None:
    assert [part.place for part, _, _ in NEW] == list(Place)


@pytest.mark.parametrize(("part", "fields", "wanted"), NEW, ids=[part.token for part, _, _ in NEW])
def test_a_new_part_acts(part: type[Part], fields: dict[str, object], wanted: torch.Tensor) -> None:
    parts.register(part)
    clean = images(3)
    attack = recipe(**{"epsilon": EPSILON, "steps": 1, **fields})
    assert part() in attack.parts
    asked: list[torch.Tensor] = []
    networks = [linear(FIRST), linear(LAST)]
    networks[0].register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    found = run_float(attack, scalar_batch(clean), networks).images
    torch.testing.assert_close(found, clean + EPSILON * wanted.sign())
    if part.place is Place.POINT:
        assert not asked[-1].any()


def test_a_base_has_one_start() -> None:
    parts.register(Whiter)
    with pytest.raises(ValueError, match="more than one start: pgd, new-start"):
        recipe(base="pgd-new-start")
