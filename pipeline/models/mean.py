"""``mean:logits``: one surrogate or target whose logits are the mean of other models' logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem

FORM = "mean:logits"
"""What a job writes as the source of a mean, whose models are its `members`."""


class MeanLogits(nn.Module):
    """h(x) = (1/k) sum_i h_i(x), each member behind its own adapter (Liu 2017; Dong 2018).

    As a surrogate it makes any objective, penalty included, one of the fused logits: the ensemble
    of the interaction paper's Table 4.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits, (B, C), of canonical images (B, 3, H, W)."""
        outputs = [member(images) for member in self.members]
        sizes = {output.shape[1] for output in outputs}
        if len(sizes) > 1:
            raise ValueError(f"members give {sorted(sizes)} logits; a mean needs the same classes")
        return torch.stack(outputs).mean(0)


def is_mean(spec: ModelSpec) -> bool:
    """Return whether a spec asks for a mean of models, rather than for a source's network."""
    return spec.source.startswith("mean:")


def problems(spec: ModelSpec, check: Callable[[ModelSpec], list[Problem]]) -> list[Problem]:
    """Return what is wrong with the form of a mean, or with any member.

    Args:
        spec: of the mean.
        check: returns what is wrong with one model.
    """
    if spec.source != FORM:
        return [Problem("source", f"expected {FORM}, got {spec.source!r}")]
    if len(spec.members) < 2:
        return [Problem("members", "a mean needs at least two models")]
    found = []
    for position, member in enumerate(spec.members):
        where = f"members[{position}]"
        if member.defence is not None:
            found.append(Problem(f"{where}.defence", "a member of a mean takes no defence"))
        found += [Problem(f"{where}.{problem.where}", problem.what) for problem in check(member)]
    return found


def description(members: Sequence[Description]) -> Description:
    """Return what is known of a mean: its members have adapters and ways to the input of their own.

    Args:
        members: what is known of each.
    """
    ran = tuple(dict.fromkeys(file for member in members for file in member.ran))
    names = {member.class_names for member in members}
    return Description(
        Task.CLASSIFICATION,
        classes=members[0].classes,
        class_names=names.pop() if len(names) == 1 else (),
        ran=ran,
    )


def network(spec: ModelSpec, build: Callable[[ModelSpec], nn.Module]) -> MeanLogits:
    """Return the mean of the members.

    Args:
        spec: of the mean.
        build: returns one model.

    Raises:
        BadInput: when two members have one name.
    """
    names = [member.name for member in spec.members]
    if len(set(names)) != len(names):
        raise BadInput(Problem("members", f"names must differ, got {', '.join(names)}"))
    return MeanLogits([build(member) for member in spec.members])
