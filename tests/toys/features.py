"""Oracle tests of specification 2.6: objectives on the features of a layer."""

import torch
import torch.nn.functional as F
from torch import nn

from gauntlet import adapt
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.models.heads import (
    Head,
)
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.surrogates import images, names

N = 192

TOKENS = ["aa", "fd", "il", "fi"]


class LinearFeatures(nn.Module):
    """f = W x at the layer `middle`, logits V f."""

    def __init__(self, features: int = 20, classes: int = 4) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.middle = nn.Linear(N, features, bias=False, dtype=torch.float64)
        self.last = nn.Linear(features, classes, bias=False, dtype=torch.float64)
        fill(self, 0)

    def forward(self, x):
        return self.last(self.middle(self.flat(x)))


class Net(nn.Module):
    """A smooth network with named layers; `features` has maps of 8 x 8."""

    def __init__(self, seed: int = 0, classes: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, dtype=torch.float64), nn.Softplus(4)
        )
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(96, classes, dtype=torch.float64)
        fill(self, seed)

    def forward(self, x):
        return 8 * self.last(self.pool(self.features(x - 0.5)).flatten(1))


def fill(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = drawn / parameter[0].numel() ** 0.5


def surrogates(*modules: nn.Module, task: Task = Task.CLASSIFICATION) -> InProcessOracle:
    return InProcessOracle(
        [adapt(module, name=f"m{i}", task=task) for i, module in enumerate(modules)]
    )


def attacked(attack, batch, *modules, seed=0):
    return run(attack, batch, surrogates(*modules, task=batch.goal.task), seed=seed, quantize=False)


def setting_of(attack, batch):
    method = attack.method(batch.goal, batch.images[0].numel())
    return Setting(batch, method.query, 0, attack.label, 0)


def answer(attack, batch, module, points):
    """Return J and its gradient from the engine."""
    oracle = surrogates(module, task=batch.goal.task)
    return oracle.gradients(setting_of(attack, batch), [Question(0, points)])[0]


def known(attack, batch, module):
    return surrogates(module, task=batch.goal.task).known(setting_of(attack, batch), 0)


def with_options(token, **options):
    attack_fields = options.pop("attack", {})
    return Attack(objective=token, options={token: options}, **attack_fields)


def targeted(clean, references=None, classes=4):
    wanted = (torch.arange(len(clean)) + 1) % classes
    return Batch(names(len(clean)), clean, Goal.TARGETED, wanted=wanted, references=references)


def faces(clean, goal=Goal.IMPERSONATION):
    return Batch(names(len(clean)), clean, goal, references=images(len(clean), seed=7))


def cosine(one, other):
    return F.cosine_similarity(one.flatten(1), other.flatten(1))


def random_head(seed: int, pool: int = 8) -> Head:
    generator = torch.Generator().manual_seed(seed)
    size = 6 * pool * pool
    return Head(
        hidden_weights=torch.randn(5, size, generator=generator) / size**0.5,
        hidden_biases=torch.randn(5, generator=generator),
        weights=torch.randn(5, generator=generator),
        bias=torch.tensor(0.1),
        shape=(6, 8, 8),
        pool=pool,
        auc=0.97,
        trained_on=torch.tensor([1, 2, 3]),
    )
