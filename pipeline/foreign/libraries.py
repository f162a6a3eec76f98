"""Attacks of other libraries: found by name, imported only then, called on any of our models."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.models.mean import MeanLogits
from gauntlet.pipeline.models.sources.own_modules import find_module, run_module
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput, Problem, suggest

Called = Callable[[nn.Module, Tensor, Tensor], object]
"""Makes images (B, 3, H, W) of a model, images in [0, 1] and classes int64 (B,)."""

PIP = {
    # It pins a version of requests from 2020, which it does not need for this.
    "torchattacks": "pip install --no-deps torchattacks",
    "foolbox": "pip install foolbox",
    "art": "pip install adversarial-robustness-toolbox",
}
"""What brings each library."""


@dataclass(frozen=True)
class Found:
    """An attack of another library.

    Attributes:
        call: makes images.
        classes: what its constructor, or it itself, takes beside model and images.
    """

    call: Callable[[Attack, Goal, nn.Module, Tensor, Tensor], object]
    takes: inspect.Signature | None


def find(attack: Attack, root: Path, permission: Permission) -> Found:
    """Return what an attack's source names; libraries are imported, nothing of theirs is called.

    Args:
        attack: its `source` says what.
        root: the job's root, which is not trusted.
        permission: the code of the person's that may be run.

    Raises:
        BadInput: when it is not installed, does not exist, or may not be run.
    """
    library, _, name = (attack.source or "").partition(":")
    if library in PIP:
        return _LIBRARIES[library](name)
    module = run_module(library, find_module(library, permission, root), permission)
    if library == "transferattack":
        return _transferattack(module, name)
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, v in vars(module).items() if inspect.isfunction(v) and n[0] != "_"]
        raise _refused(suggest(name, sorted(known), f"function of {library}"))
    return Found(
        lambda attack, goal, model, images, labels: function(
            model, images, labels, **attack.arguments
        ),
        _signature(function),
    )


def own_files(attacks: Iterable[Attack], root: Path, permission: Permission) -> list[Path]:
    """Return the files of the person's own modules that attacks are from; they have been run.

    Args:
        attacks: a job's.
        root: as in `find`.
        permission: as in `find`.

    Raises:
        BadInput: when one does not exist, or may not be run.
    """
    found = []
    for attack in attacks:
        module = (attack.source or "").partition(":")[0]
        if module and module not in PIP:
            find(attack, root, permission)
            found.append(find_module(module, permission, root))
    return [file for file in found if file is not None]


def problems(attack: Attack, goal: Goal, root: Path, permission: Permission) -> list[Problem]:
    """Return why there is no such attack for a goal, or why it does not take its options."""
    if goal.task is not Task.CLASSIFICATION:
        return [Problem("source", f"attacks of others are on classes: none is {goal.value}")]
    try:
        found = find(attack, root, permission)
    except BadInput as error:
        return list(error.problems)
    if found.takes is None:
        return []
    parameters = found.takes.parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return []
    known = sorted(parameters.keys() - {"self", "model", "estimator", "images", "labels"})
    unknown = [name for name in attack.arguments if name not in known]
    return [Problem("options", suggest(name, known, "option")) for name in unknown]


def attacked(
    attack: Attack,
    batch: Batch,
    models: Mapping[str, nn.Module],
    seed: int,
    root: Path,
    permission: Permission,
) -> object:
    """Return what another library makes of a batch.

    Its random numbers are torch's, NumPy's and Python's own, seeded by the run's seed, the attack
    and the ids of the batch: the same batch gives the same images, another cut into batches may
    not. It is given a copy of the networks: hooks and weights that it leaves reach no other attack.

    Args:
        attack: what to call.
        batch: the examples, where the models are.
        models: the attack's surrogates; of several the mean of their logits is attacked.
        seed: the run's.
        root: as in `find`.
        permission: as in `find`.

    Raises:
        RuntimeError: when it would end the process.
    """
    found = find(attack, root, permission)
    labels = batch.wanted if batch.goal is Goal.TARGETED else batch.labels
    assert labels is not None
    nets = copy.deepcopy([*models.values()])
    model = nets[0] if len(nets) == 1 else MeanLogits(nets).eval()
    with _seeded(seed, attack.label, *batch.ids), torch.enable_grad():
        try:
            return found.call(attack, batch.goal, model, batch.images.clone(), labels.clone())
        except SystemExit as error:
            raise RuntimeError(f"{attack.source} would exit ({error.code})") from error


def _torchattacks(name: str) -> Found:
    kind = _attribute("torchattacks", "torchattacks", name)

    def call(attack: Attack, goal: Goal, model: nn.Module, images: Tensor, labels: Tensor) -> Any:
        made = kind(model, **_with_budget(attack, goal, images, kind, "eps"))
        if goal is Goal.TARGETED:
            made.set_mode_targeted_by_label(quiet=True)
        return made(images, labels)

    return Found(call, _signature(kind))


def _foolbox(name: str) -> Found:
    kind = _attribute("foolbox", "foolbox.attacks", name)

    def call(attack: Attack, goal: Goal, model: nn.Module, images: Tensor, labels: Tensor) -> Any:
        import foolbox

        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
        targeted = goal is Goal.TARGETED
        criterion = foolbox.criteria.TargetedMisclassification if targeted else None
        judged = foolbox.criteria.Misclassification if criterion is None else criterion
        epsilon = _budget(attack, goal, images)
        _, clipped, _ = kind(**attack.arguments)(wrapped, images, judged(labels), epsilons=epsilon)
        return clipped

    return Found(call, _signature(kind))


def _art(name: str) -> Found:
    kind = _attribute("art", "art.attacks.evasion", name)

    def call(attack: Attack, goal: Goal, model: nn.Module, images: Tensor, labels: Tensor) -> Any:
        from art.estimators.classification import PyTorchClassifier

        with torch.no_grad():
            classes = int(model(images[:1]).shape[1])
        estimator = PyTorchClassifier(
            model,
            nn.CrossEntropyLoss(),
            input_shape=tuple(images.shape[1:]),
            nb_classes=classes,
            clip_values=(0, 1),
            device_type="cpu" if images.device.type == "cpu" else "gpu",
        )
        more: dict[str, Any] = {"targeted": True} if goal is Goal.TARGETED else {}
        more |= {"verbose": False} if "verbose" in _parameters(kind) else {}
        more |= {"batch_size": len(images)} if "batch_size" in _parameters(kind) else {}
        more |= {"norm": 2} if attack.norm == "l2" and "norm" in _parameters(kind) else {}
        made = kind(estimator, **{**more, **_with_budget(attack, goal, images, kind, "eps")})
        return made.generate(images.cpu().numpy(), labels.cpu().numpy())

    return Found(call, _signature(kind))


def _transferattack(module: ModuleType, name: str) -> Found:
    """Return a class of a checkout of TransferAttack, which loads models by name: ours instead."""
    known = getattr(module, "attack_zoo", None)
    if not isinstance(known, dict):
        raise _refused(f"{module.__file__} is no checkout of TransferAttack: it has no attack_zoo")
    if name not in known:
        raise _refused(suggest(name, sorted(map(str, known)), "attack of transferattack"))
    # Older ones import all classes at once, later ones the one that is asked for.
    kind = module.load_attack_class(name) if hasattr(module, "load_attack_class") else known[name]

    def call(attack: Attack, goal: Goal, model: nn.Module, images: Tensor, labels: Tensor) -> Any:
        ours = type(kind.__name__, (kind,), {"load_model": lambda self, name: model})
        targeted = goal is Goal.TARGETED
        fields = {"device": images.device, "targeted": targeted}
        fields |= {"norm": "l2"} if attack.norm == "l2" and "norm" in _parameters(kind) else {}
        fields |= _with_budget(attack, goal, images, kind, "epsilon")
        made = ours(model_name="", **fields)
        # Its targeted attacks take both, and read the second.
        return images + made(images, [labels, labels] if targeted else labels)

    return Found(call, None)


_LIBRARIES = {"torchattacks": _torchattacks, "foolbox": _foolbox, "art": _art}


def _attribute(library: str, module: str, name: str) -> Any:
    try:
        there = importlib.import_module(module)
    except ImportError as error:
        missing = getattr(error, "name", None) or library
        lacks = "is not installed" if missing == library else f"cannot be imported: {error}"
        raise _refused(f"{library} {lacks}; {PIP[library]}") from None
    kind = getattr(there, name, None)
    if not isinstance(kind, type):
        known = sorted(n for n, v in vars(there).items() if isinstance(v, type) and n[0] != "_")
        raise _refused(suggest(name, known, f"attack of {library}", listed=12))
    return kind


def _budget(attack: Attack, goal: Goal, images: Tensor) -> float:
    """Return the ball's radius in the norm itself, which is what libraries mean by it."""
    return attack.method(goal, images[0].numel()).ball.epsilon


def _with_budget(
    attack: Attack, goal: Goal, images: Tensor, kind: type, name: str
) -> dict[str, Any]:
    """Return the options, with the budget where the library calls it so and nothing is written."""
    own = {name: _budget(attack, goal, images)} if name in _parameters(kind) else {}
    return {**own, **attack.arguments}


def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    found = _signature(kind)
    return {} if found is None else found.parameters


def _signature(called: Callable[..., object]) -> inspect.Signature | None:
    try:
        return inspect.signature(called)
    except (TypeError, ValueError):
        return None


@contextmanager
def _seeded(*parts: object) -> Iterator[None]:
    """Seed the generators of torch, NumPy and Python by what they are for, and put them back.

    So is torch's default type, which some libraries set.
    """
    text = "\x1f".join(map(str, parts)).encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
    before, pythons, dtype = np.random.get_state(), random.getstate(), torch.get_default_dtype()
    with torch.random.fork_rng():
        torch.manual_seed(number)
        np.random.seed(number % 2**32)
        random.seed(number)
        try:
            yield
        finally:
            np.random.set_state(before)
            random.setstate(pythons)
            torch.set_default_dtype(dtype)


def _refused(what: str) -> BadInput:
    return BadInput(Problem("source", what))
