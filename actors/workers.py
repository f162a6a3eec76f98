"""The processes that hold models: one surrogate, all surrogates, or a share of the targets.

None of them has state that a restart could not rebuild from the plan, so Ray may restart any of
them and repeat the call that was lost.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch

from gauntlet.actors.own_modules import OwnModules
from gauntlet.actors.targets import TargetHandles
from gauntlet.actors.wire import WireBatch, WireLook, WireObserved, array, tensor
from gauntlet.pipeline.attacks.query import Query, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.archive import forget
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.oracle.responder import Responder
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.interactions import Interactions, interactions
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.models import (
    build_surrogate,
    build_target,
    configure,
    device,
    image_dtype,
    show,
)
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.sample import ImageSample, Seen
from gauntlet.pipeline.run.probe.seeing import see
from gauntlet.pipeline.run.steps import Watch


@dataclass(frozen=True)
class Errand:
    """A question's circumstances, without its pixels.

    Attributes:
        key: names the batch; an actor keeps the last few.
        batch: the batch's object reference, in a list so that Ray does not fetch it on every call.
        query: what is asked.
        seed: the run's seed.
        attack: the attack's label.
        step: index of the update.
        draw: tells apart several draws within one step.
    """

    key: str
    batch: list[Any]
    query: Query
    seed: int
    attack: str
    step: int
    draw: str


def keep_to_share(gpus: Sequence[str]) -> None:
    """Hide the GPUs of the machine from a process that Ray gave none; before CUDA starts."""
    # Ray itself leaves the variable alone at a share of 0, and a cluster may be another's to set.
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


class SurrogateActor:
    """One surrogate, answering queries: the pinned placement."""

    def __init__(self, plan: Plan, name: str, threads: int | None, modules: OwnModules) -> None:
        keep_to_share(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        configure(plan.resources, threads)
        self._plan = plan
        spec = next(spec for spec in plan.surrogates if spec.name == name)
        self._model, self._card = build_surrogate(spec, plan, modules.permission())
        self._responder = Responder(self._model, rows_per_pass=plan.resources.rows_per_pass)
        self._dtype = image_dtype(plan.resources)
        self._batches: OrderedDict[str, Batch] = OrderedDict()

    def card(self) -> ModelCard:
        """Return the model's card."""
        return self._card

    def gradients(
        self, errand: Errand, points: np.ndarray, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return J (R,) and dJ/dx (R, 3, H, W)."""
        answer = self._responder.gradients(self._setting(errand), *self._asked(points, rows))
        return array(answer.values), array(answer.gradient)

    def outputs(self, errand: Errand, points: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """Return the outputs on every view, (copies * R, C)."""
        return array(self._responder.outputs(self._setting(errand), *self._asked(points, rows)))

    def pullback(
        self, errand: Errand, points: np.ndarray, cotangent: np.ndarray, rows: np.ndarray | None
    ) -> np.ndarray:
        """Return the vector-Jacobian product, (R, 3, H, W)."""
        where, index = self._asked(points, rows)
        weight = tensor(cotangent, device())
        return array(self._responder.pullback(self._setting(errand), where, weight, index))

    def known(self, errand: Errand) -> dict[str, np.ndarray]:
        """Return what the query needs to know of the batch, by name, each (B, ...)."""
        known = self._responder.known(self._setting(errand))
        return {name: array(values) for name, values in known.items()}

    def show(self, look: WireLook) -> dict[str, np.ndarray]:
        """Return the model's outputs on images, by its name."""
        return {self._model.name: show(self._model, look.unpack())}

    def see(self, look: WireLook | None, readings: Sequence[str]) -> dict[str, Seen]:
        """Return the model's answers to a decoded sample, by its name."""
        return {} if look is None else see([self._model], look.unpack(), readings)

    def interactions(
        self, batch: WireBatch, images: np.ndarray, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on this surrogate, by its name."""
        found = interactions(self._model, batch.unpack(), tensor(images), spec, self._plan)
        return {self._model.name: found}

    def _asked(
        self, points: np.ndarray, rows: np.ndarray | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return tensor(points, device()), None if rows is None else tensor(rows)

    def _setting(self, errand: Errand) -> Setting:
        if errand.key not in self._batches:
            batch = ray.get(errand.batch[0]).unpack()
            self._batches[errand.key] = batch.to(device(), self._dtype)
            while len(self._batches) > 8:
                self._batches.popitem(last=False)
        return Setting(
            batch=self._batches[errand.key],
            query=errand.query,
            seed=errand.seed,
            attack=errand.attack,
            step=errand.step,
            draw=errand.draw,
        )


class PackedWorker:
    """All surrogates and the loop: the packed placement. Workers split the examples."""

    def __init__(self, plan: Plan, threads: int | None, modules: OwnModules) -> None:
        keep_to_share(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        configure(plan.resources, threads)
        self._surrogates = LocalSurrogates(plan, modules.permission())

    def cards(self) -> dict[str, ModelCard]:
        """Return the surrogates' cards."""
        return dict(self._surrogates.cards)

    def attack(
        self,
        attack: Attack,
        batch: WireBatch,
        watch: Watch | None = None,
        targets: TargetHandles | None = None,
    ) -> WireObserved:
        """Attack a batch; watched iterates go to the targets from here, past the driver."""
        show = None if targets is None else targets.show
        return WireObserved.pack(self._surrogates.attack(attack, batch.unpack(), watch, show))

    def interactions(
        self, attack: Attack, batch: WireBatch, images: np.ndarray, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on the attack's surrogates, by name."""
        return self._surrogates.interactions(attack, batch.unpack(), tensor(images), spec)

    def show(self, look: WireLook, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return surrogates' outputs on images, by name."""
        given = look.unpack()
        return {name: show(self._surrogates.models[name], given) for name in names}

    def see(
        self, look: WireLook | None, names: Sequence[str], readings: Sequence[str]
    ) -> dict[str, Seen]:
        """Return surrogates' answers to a decoded sample, by name."""
        models = [self._surrogates.models[name] for name in names]
        return {} if look is None else see(models, look.unpack(), readings)

    def measure(self, attack: Attack, batch: WireBatch) -> int:
        """Return the peak memory in bytes, on this worker's device, of one update of an attack."""
        once = attack.model_copy(update={"steps": 1, "step_size": attack.alpha})
        self.attack(once, batch)
        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)


class TargetWorker:
    """A share of the targets."""

    def __init__(
        self, plan: Plan, names: Sequence[str], threads: int | None, modules: OwnModules
    ) -> None:
        keep_to_share(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
        configure(plan.resources, threads)
        permission = modules.permission()
        wanted = [spec for spec in plan.targets if spec.name in names]
        built = [build_target(spec, plan, permission) for spec in wanted]
        self._models = {model.name: model for model, _ in built}
        self._cards = {f"target/{card.name}": card for _, card in built}

    def cards(self) -> dict[str, ModelCard]:
        """Return the targets' cards."""
        return self._cards

    def show(self, look: WireLook, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return targets' outputs on images, by name."""
        given = look.unpack()
        return {name: show(self._models[name], given) for name in names}

    def decode(
        self, sample: ImageSample
    ) -> tuple[WireLook | None, tuple[tuple[int, ...], tuple[str, ...]]]:
        """Decode a sample: the pixels, and which images they are with why the others are not."""
        found = sample.decode()
        forget()
        look = None if found.look is None else WireLook.pack(found.look)
        return look, (found.rows, found.reasons)

    def see(
        self, look: WireLook | None, names: Sequence[str], readings: Sequence[str]
    ) -> dict[str, Seen]:
        """Return targets' answers to a decoded sample, by name."""
        models = [self._models[name] for name in names]
        return {} if look is None else see(models, look.unpack(), readings)
