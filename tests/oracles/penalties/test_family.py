"""What all penalties share."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from gauntlet import Attack, Goal
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.surgery.sgm import SkipGradient
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.penalties import TOKENS, Embedding, answer, faces, moved, residual, with_sets
from tests.toys.surrogates import SmallNet, class_batch, images, run_float


@pytest.mark.parametrize("token", TOKENS)
def test_trap_02_penalties_do_not_see_the_batch(token):
    batch, net = class_batch(images(5, shape=(3, 12, 12))), SmallNet(0)
    options = {} if token == "ir-closed" else {token: {"grid": 4}}
    # Not the sign: where the network is nearly linear it would amplify the last bit (trap 3).
    given = Attack(base=f"pgd-mi+{token}", options=options, steps=3, normalise="l2rms")
    together = run_float(given, batch, [net, SmallNet(1)]).images
    for rows in ([0], [3, 1], [4, 2]):
        index = torch.tensor(rows)
        alone = run_float(given, batch.rows(index), [net, SmallNet(1)]).images
        assert torch.allclose(together[index], alone, atol=1e-9), rows


@pytest.mark.parametrize("base", ["ir", "vr+ir", "ir-mean", "pgd+interaction-only"])
@pytest.mark.parametrize("noise", ["noisy", "clean-sum"])
def test_the_size_of_the_passes_does_not_change_the_answer(base, noise):
    token = base.split("+")[-1]
    options = {token: {"grid": 4}}
    if noise == "clean-sum":
        if base != "vr+ir":
            return
        options["ir"]["noise"] = noise
    if base == "vr+ir":
        options["vr"] = {"m": 3}
    batch, net = class_batch(images(3)), SmallNet(0)
    given, points = Attack(base=base, options=options), moved(batch.images)
    large = answer(given, batch, net, points, rows_per_pass=10_000)
    for rows in (1, 7, 20):
        found = answer(given, batch, net, points, rows_per_pass=rows)
        assert torch.allclose(found.gradient, large.gradient, atol=1e-12), rows
        assert torch.allclose(found.values, large.values, atol=1e-12), rows


class Counting(SmallNet):
    seen: list[int]

    def forward(self, x):
        self.seen.append(len(x))
        return super().forward(x)


@pytest.mark.parametrize(
    ("base", "options", "rows"),
    [
        ("ir", {"sets": 32}, 65),  # one at x + delta, 32 sets and their complements
        ("vr+ir", {"sets": 32}, 5 * 66),  # v(empty) changes with the noise
        ("vr+ir", {"sets": 32, "noise": "clean-sum"}, 5 + 65),
        ("ir-mean", {"samples": 8}, 17),
    ],
)
def test_no_pass_is_made_twice(base, options, rows):
    seen = Counting.seen = []
    batch, net = class_batch(images(2)), Counting(0)
    token = base.split("+")[-1]
    given = {token: {"grid": 4, **options}} | ({"vr": {"m": 5}} if "vr" in base else {})
    method = Attack(base=base, options=given).method(batch.goal, 192)
    asked = InProcessOracle([adapt(net, name="m0")], rows_per_pass=256)
    for step in (0, 1):
        setting = Setting(batch, method.query, 0, "x", step)
        asked.gradients(setting, [Question(0, batch.images)])
    assert sum(seen) == 2 * (1 + 2 * rows)  # the clean outputs once in all
    assert max(seen) <= 256


@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
def test_faces_use_the_objective_as_utility(goal):
    batch, net = faces(goal), Embedding(0)
    sign = 1 if goal is Goal.IMPERSONATION else -1
    leaf = moved(batch.images).requires_grad_()
    inside = Grid(4, 4).labels(8, 8) < 5

    def value(points):
        return sign * cosine_similarity(net(points), net(batch.references).detach())

    delta = leaf - batch.images
    rest = value(batch.images + ~inside * delta)
    term = value(leaf) - rest - value(batch.images + inside * delta) + value(batch.images)
    (expected,) = torch.autograd.grad((value(leaf) - 2 * term).sum(), leaf)
    members = [[cell < 5 for cell in range(16)]]
    found = answer(with_sets(members, 4, lambda_code=2.0), batch, net, leaf.detach())
    assert torch.allclose(found.gradient, expected, atol=1e-12)


@pytest.mark.parametrize("token", ["ir", "ir-mean", "ir-closed"])
def test_a_surgery_acts_in_every_pass_of_a_penalty(token):
    batch, net = class_batch(images(2, shape=(3, 32, 32))), residual()
    points = moved(batch.images, 0.02)
    options = {} if token == "ir-closed" else {token: {"grid": 2}}
    operated = Attack(base=f"sgm+{token}", options=options, name="same draws")
    plain = Attack(base=token, options=options, name="same draws")
    found = answer(operated, batch, net, points)
    by_hand = answer(plain, batch, SkipGradient().rewrite(net), points)
    assert torch.allclose(found.gradient, by_hand.gradient, atol=1e-12)
    assert not torch.allclose(found.gradient, answer(plain, batch, net, points).gradient)


def test_variants_of_a_row_share_the_ghost_and_the_noise():
    # At the clean image all variants are the same image: equal draws leave no interaction.
    batch, net = class_batch(images(2, shape=(3, 32, 32))), residual()
    given, views = {"name": "same draws"}, {"vr": {"m": 2}}
    plain = answer(Attack(base="vr-ghost", options=views, **given), batch, net, batch.images)
    options = {**views, "ir": {"grid": 2, "sets": 3}}
    reduced = Attack(base="vr-ghost+ir", options=options, **given)
    for rows in (1, 256):
        found = answer(reduced, batch, net, batch.images, rows_per_pass=rows)
        assert torch.allclose(found.gradient, plain.gradient, atol=1e-12)


@pytest.mark.parametrize("base", ["mi+ir", "vr+ir", "ti+ir", "sgm+ir", "mi-vr-sgm+ir"])
def test_the_papers_combinations_are_base_names(base):
    batch, net = class_batch(images(2, shape=(3, 32, 32))), residual()
    views = {"vr": {"m": 2}} if "vr" in base else {}
    sizes = []
    for weight in (0, 5):
        options = {**views, "ir": {"grid": 4, "sets": 4, "lambda_code": weight}}
        given = Attack(base=base, options=options, steps=2, name="same draws")
        sizes.append(run_float(given, batch, [net]).images)
    differ = (sizes[0] != sizes[1]).flatten(1).double().mean(1)
    assert (differ > 0).all()
