"""Oracle tests of specification 1 and 2.4: Ens, Ens-l2, SVRE, MGDA, RGEA, TorchJD."""

import torch
import torch.nn.functional as F

from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.recipe import Attack
from tests.toys.surrogates import (
    SmallNet,
    oracle,
)

NETS = [SmallNet(0), SmallNet(1), SmallNet(2)]

FUSIONS = ["ens", "ens-logits", "ens-probabilities"]


def rows(k: int, examples: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(k, examples, size, generator=generator, dtype=torch.float64)


def unit_rows(given: torch.Tensor) -> torch.Tensor:
    return F.normalize(given, dim=2)


def direction(combine: str, batch, modules, **fields):
    from gauntlet.pipeline.attacks.ask import Ask
    from gauntlet.pipeline.attacks.step import Step

    attack = Attack(combine=combine, **fields)
    method = attack.method(batch.goal, batch.images[0].numel())
    setting = Setting(batch, method.query, 0, attack.label, 0)
    ask = Ask(oracle(*modules), range(len(modules)), setting)
    step = Step(method.ball, batch.images, method.step_size, method.normalise)
    return method.rule.direction(batch.images, ask, step)


def gradients_of(batch, modules):
    found = []
    for net in modules:
        x = batch.images.clone().requires_grad_()
        F.cross_entropy(net(x), batch.labels, reduction="sum").backward()
        found.append(x.grad)
    return torch.stack(found)
