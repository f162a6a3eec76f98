"""The utilities v(S), for every goal."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.interactions import Grid, PerturbationGame
from tests.toys.games import ReluNet, classes_batch, names, perturbed, uniform

SIDE, GRID = 4, Grid(2, 2)
SETS = torch.tensor([[True, False, True, False], [False, True, True, True]])


def targeted(batch):
    return Batch(batch.ids, batch.images, Goal.TARGETED, wanted=(batch.labels + 2) % 5)


def faces(goal):
    images = uniform(0, 3, 3, SIDE, SIDE)
    return Batch(names(3), images, goal, references=uniform(9, 3, 3, SIDE, SIDE))


def points(batch, images):
    """x + delta^(S) of every example and set, (B, 2, 3, H, W), written out."""
    masks = GRID.masks(SETS, SIDE, SIDE, torch.float64, "cpu")
    return batch.images[:, None] + masks * (images - batch.images)[:, None]


def played(batch, utility, net, images):
    game = PerturbationGame(net, batch, images, grid=GRID, utility=utility)
    return game, game.values(SETS)


@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
@pytest.mark.parametrize("utility", ["auto", "loss", "margin", "margin-fixed"])
def test_classification_utilities(goal, utility):
    batch, net = classes_batch(3, SIDE), ReluNet(1, SIDE)
    if goal is Goal.TARGETED:
        batch = targeted(batch)
    images = perturbed(batch, size=1.5)
    game, found = played(batch, utility, net, images)
    sign = 1 if goal is Goal.UNTARGETED else -1
    classes = batch.labels if goal is Goal.UNTARGETED else batch.wanted
    assert classes is not None
    for b in range(3):
        own = int(classes[b])
        rest = [c for c in range(5) if c != own]
        at_end = net(images[b : b + 1])[0]
        for m in range(2):
            logits = net(points(batch, images)[b, m][None])[0]
            if utility in ("auto", "loss"):
                clean = net(batch.images[b : b + 1])[0]
                value = -F.log_softmax(logits, 0)[own] + F.log_softmax(clean, 0)[own]
            else:
                chosen = at_end if utility == "margin-fixed" else logits
                other = max(rest, key=lambda c: float(chosen[c]))
                value = logits[other] - logits[own]
            assert found[b, m].item() == pytest.approx(sign * value.item(), abs=1e-13)
    assert game.utility == ("loss" if utility == "auto" else utility)
    if game.utility == "loss":
        assert game.empty.abs().max() == 0


def test_the_fixed_class_differs_from_the_one_chosen_anew():
    batch, net = classes_batch(20, SIDE), ReluNet(1, SIDE)
    images = perturbed(batch, size=1.5)
    anew, fixed = (played(batch, name, net, images) for name in ("margin", "margin-fixed"))
    assert torch.equal(anew[0].whole, fixed[0].whole)
    assert (anew[1] >= fixed[1] - 1e-15).all()
    assert (anew[1] > fixed[1] + 1e-6).any()


@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
def test_similarity_is_the_change_of_the_cosine_that_the_attacker_wants(goal):
    batch, net = faces(goal), ReluNet(1, SIDE)
    images = perturbed(batch)
    game, found = played(batch, "auto", net, images)
    sign = 1 if goal is Goal.IMPERSONATION else -1
    reference = net(batch.references)
    for m in range(2):
        moved = F.cosine_similarity(net(points(batch, images)[:, m]), reference)
        expected = sign * (moved - F.cosine_similarity(net(batch.images), reference))
        assert torch.allclose(found[:, m], expected, rtol=0, atol=1e-14)
    assert game.utility == "similarity"
    assert game.empty.abs().max() == 0
    # Impersonating another person is worth something when the reference itself is reached.
    there = PerturbationGame(net, batch, batch.references, grid=GRID)
    assert (sign * there.whole > 0).all()


def test_utilities_are_computed_in_float64():
    batch = classes_batch(2, SIDE).to("cpu", torch.float32)
    net = ReluNet(1, SIDE)
    for name in ("first", "bias", "second", "last"):
        setattr(net, name, getattr(net, name).float())
    game, found = played(batch, "loss", net, perturbed(batch).float())
    assert found.dtype == game.whole.dtype == torch.float64
    assert not torch.equal(found, found.float().double())


@pytest.mark.parametrize(
    ("batch", "utility", "message"),
    [
        (faces(Goal.IMPERSONATION), "loss", "utility 'loss' needs classes, but goal 'imp"),
        (faces(Goal.DODGING), "margin-fixed", "use 'similarity'"),
        (classes_batch(2, SIDE), "similarity", "needs a reference image, but goal 'untargeted'"),
        (classes_batch(2, SIDE), "logit", "unknown utility 'logit'; known: auto, loss"),
        (classes_batch(7, SIDE, classes=7), "loss", "'example-5' has class 5, .* 0 to 4"),
    ],
)
def test_a_utility_that_does_not_fit_is_refused(batch, utility, message):
    with pytest.raises(ValueError, match=message):
        played(batch, utility, ReluNet(1, SIDE), batch.images)


def test_a_model_of_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes, got 1"):
        played(
            classes_batch(1, SIDE), "loss", lambda x: x.flatten(1)[:, :1], uniform(1, 1, 3, 4, 4)
        )
