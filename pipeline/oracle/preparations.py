"""What a query's parts know of a batch beforehand, such as the embeddings of its references."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.surgery.operated import Operated
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.oracle.passes import tile


class Preparations:
    """Prepares objectives and penalties once for a batch, and keeps the last few results."""

    def __init__(self, remember: int) -> None:
        # By identity, with the batch kept alive: equal ids need not mean equal images or labels.
        self._known: OrderedDict[tuple[int, str], tuple[Batch, Known]] = OrderedDict()
        self._remember = remember

    def known(self, setting: Setting, surrogate: Operated) -> Known:
        """Return what the query needs to know of the whole batch, each tensor (B, ...)."""
        query, batch = setting.query, setting.batch
        parts: list[Objective | Penalty] = [query.objective]
        if query.penalty is not None:
            parts.append(query.penalty)
        gathered: dict[str, Tensor] = {}
        for part in parts:
            key = (id(batch), f"{part.token} {part!r} {query.surgeries!r}")
            if surrogate.model.randomised or not query.deterministic or part.drawn:
                key = (key[0], f"{key[1]} {setting.seed} {setting.attack}")
            if key not in self._known:
                draws = Draws.keyed(
                    setting.seed, batch.ids, attack=setting.attack, step=-1, model=surrogate.name
                )
                prepared = part.prepare(_Prepared(surrogate, draws, batch), batch, draws)
                self._known[key] = (batch, prepared)
                while len(self._known) > self._remember:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            gathered.update(self._known[key][1])
        return gathered


class _Prepared:
    """A surrogate as `Objective.prepare` asks it: any number of images, all examples in turn."""

    def __init__(self, surrogate: Operated, draws: Draws, batch: Batch) -> None:
        self._surrogate, self._draws, self._batch = surrogate, draws, batch

    @property
    def name(self) -> str:
        return self._surrogate.name

    @property
    def fingerprint(self) -> str:
        return self._surrogate.model.fingerprint

    def __call__(self, images: Tensor) -> Tensor:
        outputs = self._surrogate(images, self._for(images))
        self._batch.check_classes(outputs.shape[1], self.name)
        return outputs

    def features(self, images: Tensor, layer: str | None) -> Tensor:
        return self._surrogate.features(images, layer, self._for(images))

    def tapped(self, images: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
        features, outputs = self._surrogate.tapped(images, layer, self._for(images))
        self._batch.check_classes(outputs.shape[1], self.name)
        return features, outputs

    def _for(self, images: Tensor) -> Draws:
        return Draws(tile(self._draws.keys, max(1, len(images) // max(1, len(self._draws)))))
