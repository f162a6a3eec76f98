"""What a responder may keep between questions, and what not."""

import pytest
import torch
from torch import nn

from gauntlet import Batch, Goal, Model
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.defences.resize_pad import ResizePad
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.surrogates import SmallNet, class_batch, images, names, oracle


class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3)
        self.last = nn.Linear(6, 5)

    def forward(self, images):
        return self.last(self.first(images).relu().mean((2, 3)))


def setting(batch, attack, step=0):
    query = attack.method(batch.goal, batch.images[0].numel()).query
    return Setting(batch, query, 0, attack.label, step)


def test_equal_ids_with_other_labels_are_another_batch():
    one, asked = oracle(SmallNet(0)), [Question(0, images(2))]
    first, second = (
        Batch(names(2), images(2), Goal.UNTARGETED, labels=torch.tensor(labels))
        for labels in ([0, 1], [2, 3])
    )
    a = one.gradients(setting(first, Attack()), asked)[0].gradient
    b = one.gradients(setting(second, Attack()), asked)[0].gradient
    fresh = oracle(SmallNet(0)).gradients(setting(second, Attack()), asked)[0].gradient
    assert not torch.equal(a, b)
    assert torch.equal(b, fresh)


@pytest.mark.parametrize("objective", ["cosine", "fi"])
def test_a_randomised_surrogate_forgets_another_attack_and_another_seed(objective):
    batch = Batch(names(2), images(2), Goal.DODGING, references=images(2, seed=3))
    options = {"fi": {"layer": "first"}} if objective == "fi" else {}
    attacks = [Attack(name=n, base="mi", steps=3, objective=objective, options=options)
               for n in "ab"]  # fmt: skip

    def randomised():
        return InProcessOracle(
            [
                Model(
                    Embedder().double(),
                    Description(
                        Task.VERIFICATION,
                        name="m",
                        defence=ResizePad(kind="resize-pad", low=0.7),
                    ),
                )
            ]
        )

    used = randomised()
    run(attacks[0], batch, used, seed=1)
    run(attacks[1], batch, used, seed=2)
    after = run(attacks[1], batch, used, seed=1, quantize=False)
    alone = run(attacks[1], batch, randomised(), seed=1, quantize=False)
    assert torch.equal(after.images, alone.images)
    assert torch.equal(after.trace.values, alone.trace.values)


def test_a_held_graph_serves_its_own_question_only():
    # Two lanes may ask about the same points in turn: each must get its own views' gradient.
    batch = class_batch(images(3, shape=(3, 16, 16)))
    attacks = [Attack(name=name, base="di", options={"di": {"p": 1}}) for name in ("a", "b")]
    asked = [Question(0, batch.images)]
    shared = oracle(SmallNet(0))
    settings = [setting(batch, attack) for attack in attacks]
    cotangents = [torch.ones_like(shared.outputs(given, asked)[0]) for given in settings]
    found = [shared.pullback(given, asked, cotangents[:1])[0] for given in settings]
    for given, gradient in zip(settings, found, strict=True):
        alone = oracle(SmallNet(0))
        alone.outputs(given, asked)
        assert torch.equal(alone.pullback(given, asked, cotangents[:1])[0], gradient)
    assert not torch.equal(*found)


def test_the_forward_pass_of_a_fusion_is_made_once():
    calls = []
    net = SmallNet(0)
    plain = type(net).forward

    class Counting(SmallNet):
        def forward(self, x):
            calls.append(len(x))
            return plain(self, x)

    batch = class_batch(images(3))
    counting = oracle(Counting(0), Counting(1))
    asked = [Question(0, batch.images), Question(1, batch.images)]
    given = setting(batch, Attack())
    outputs = [counting.outputs(given, asked[i : i + 1])[0] for i in (0, 1)]
    for i in (0, 1):
        counting.pullback(given, asked[i : i + 1], [torch.ones_like(outputs[i])])
    assert calls == [3, 3]
