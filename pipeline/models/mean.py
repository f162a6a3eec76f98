"""``mean:logits``: one surrogate or target whose logits are the mean of other models' logits."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.models.sources.source import Convention, Offer
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem


class MeanLogits(nn.Module):
    """h(x) = (1/k) sum_i h_i(x), each member behind its own adapter (Liu 2017; Dong 2018).

    As a surrogate it makes any objective, penalty included, one of the fused logits: the ensemble
    of the interaction paper's Table 4.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits, (B, C), of canonical images (B, 3, H, W)."""
        outputs = [member(images) for member in self.members]
        sizes = {output.shape[1] for output in outputs}
        if len(sizes) > 1:
            raise ValueError(f"members give {sorted(sizes)} logits; a mean needs the same classes")
        return torch.stack(outputs).mean(0)


@dataclass(frozen=True)
class MeanSource:
    """Fusion of classifiers by their mean logits, as a model of its own."""

    permission: Permission = NOTHING

    def under(self, permission: Permission) -> MeanSource:
        """Return this source with another permission, which the members' sources are asked."""
        return replace(self, permission=permission)

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the form or with any member."""
        from gauntlet.pipeline.models.build import check

        if rest != "logits":
            return [Problem("source", f"expected mean:logits, got 'mean:{rest}'")]
        if len(spec.members) < 2:
            return [Problem("members", "a mean needs at least two models")]
        found, known = [], dict[str, list[Problem]]()
        for position, member in enumerate(spec.members):
            where = f"members[{position}]"
            if member.defence is not None:
                found.append(Problem(f"{where}.defence", "a member of a mean takes no defence"))
            found += [
                Problem(f"{where}.{problem.where}", problem.what)
                for problem in check(member, root, Task.CLASSIFICATION, self.permission, known)
            ]
        return found

    def convention(self, rest: str, spec: ModelSpec, root: Path) -> Convention:
        """Return that nothing is added: the members have their own adapters."""
        from gauntlet.pipeline.models.build import describe

        members = [describe(member, root, self.permission) for member in spec.members]
        ran = tuple(dict.fromkeys(file for member in members for file in member.ran))
        form = Preprocessing()
        return Convention(Task.CLASSIFICATION, form, classes=members[0].classes, ran=ran)

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the mean of the members."""
        from gauntlet.pipeline.models.build import build

        names = [member.name for member in spec.members]
        if len(set(names)) != len(names):
            raise BadInput(Problem("members", f"names must differ, got {', '.join(names)}"))
        made = functools.partial(
            build, root=root, task=Task.CLASSIFICATION, permission=self.permission
        )
        return MeanLogits([made(member) for member in spec.members])

    def offers(self) -> list[Offer]:
        """Return the form."""
        return [Offer("mean:logits", "the mean of the logits of the models in `members`")]
