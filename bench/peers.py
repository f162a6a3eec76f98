"""Ens-MI side by side: this library, torchattacks, torchattack, foolbox and ART.

    python -m bench.peers [--images 64] [--steps 10] [--rounds 5] [--epsilon 4] [--cpu-time]

The four CIFAR ResNets, fused by their mean logits, as every library can have them: as one module
(`its mean loss` is this library's own Ens, one network after the other).
All work on the same modules and images. The peers live in an environment of their own, which the
first run makes in .venv-peers: it has their packages, and all else, torch above all, from the
environment that runs this script. Each library has a process of its own, and they take turns, one
attack each, so that a machine that grows slower in between is not mistaken for a difference. Ratios
are medians over the rounds of a peer's time over this library's in the same round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.networks import DATA, cifar_images, networks
from gauntlet import Attack, attack
from gauntlet.pipeline.run.heap import keep_freed_memory

HERE = Path(__file__).parents[1]
ENVIRONMENT = HERE / ".venv-peers"
PACKAGES = ("foolbox>=3.3.4", "torchattack>=1.7", "adversarial-robustness-toolbox>=1.20")
# It pins a version of requests from 2020, which it does not need for this.
WITHOUT_DEPENDENCIES = ("torchattacks>=3.5.1",)

Attacker = Callable[[Tensor, Tensor], Tensor]


class MeanLogits(nn.Module):
    """The ensemble as libraries without ensembles take it."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([member(images) for member in self.members]).mean(0)


def ours(
    nets: list[nn.Module],
    epsilon: float,
    steps: int,
    fold: bool = True,
    combine: str = "ens-logits",
) -> Attacker:
    recipe = Attack(
        base="mi", combine=combine, epsilon=epsilon, steps=steps, step_size=epsilon / steps
    )
    return lambda images, labels: attack(nets, images, labels, recipe, fold=fold)


def unfolded(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    return ours(nets, epsilon, steps, fold=False)


def mean_loss(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    return ours(nets, epsilon, steps, combine="ens")


def keeping(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    keep_freed_memory()
    return ours(nets, epsilon, steps)


def by_hand(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    """Write the method out: what a lean loop takes."""
    net = MeanLogits(nets)

    def loop(images: Tensor, labels: Tensor) -> Tensor:
        x, momentum = images, torch.zeros_like(images)
        for _ in range(steps):
            leaf = x.detach().requires_grad_()
            loss = nn.functional.cross_entropy(net(leaf), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, leaf)
            momentum = momentum + gradient / gradient.abs().mean((1, 2, 3), keepdim=True)
            x = x + epsilon / steps * momentum.sign()
            x = torch.minimum(torch.maximum(x, images - epsilon), images + epsilon).clamp(0, 1)
        return x

    return loop


def torchattacks(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    from torchattacks import MIFGSM

    made: Attacker = MIFGSM(MeanLogits(nets), eps=epsilon, alpha=epsilon / steps, steps=steps)
    return made


def torchattack(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    from torchattack import MIFGSM

    made: Attacker = MIFGSM(
        MeanLogits(nets).eval(), None, "cpu", eps=epsilon, steps=steps, alpha=epsilon / steps
    )
    return made


def foolbox(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    from foolbox import PyTorchModel
    from foolbox.attacks import LinfMomentumIterativeFastGradientMethod

    model = PyTorchModel(MeanLogits(nets).eval(), bounds=(0, 1), device="cpu")
    made = LinfMomentumIterativeFastGradientMethod(
        momentum=1.0, steps=steps, abs_stepsize=epsilon / steps, random_start=False
    )
    return lambda images, labels: made(model, images, labels, epsilons=epsilon)[1]


def art(nets: list[nn.Module], epsilon: float, steps: int) -> Attacker:
    from art.attacks.evasion import MomentumIterativeMethod
    from art.estimators.classification import PyTorchClassifier

    model = PyTorchClassifier(
        MeanLogits(nets).eval(),
        nn.CrossEntropyLoss(),
        input_shape=(3, 32, 32),
        nb_classes=10,
        clip_values=(0, 1),
        device_type="cpu",
    )
    made = MomentumIterativeMethod(
        model, eps=epsilon, eps_step=epsilon / steps, max_iter=steps, batch_size=1024, verbose=False
    )
    return lambda images, labels: torch.from_numpy(made.generate(images.numpy(), labels.numpy()))


BASE = "this library"
LIBRARIES: dict[str, Callable[[list[nn.Module], float, int], Attacker]] = {
    BASE: ours,
    "its fold=False": unfolded,
    "its mean loss": mean_loss,
    "freed memory kept": keeping,
    "a loop by hand": by_hand,
    "torchattacks": torchattacks,
    "torchattack": torchattack,
    "foolbox": foolbox,
    "ART": art,
}


def serve(pipe: Connection, name: str, given: argparse.Namespace) -> None:
    """Attack whenever asked, in this process; answer with the seconds and the images."""
    clock = time.process_time if given.cpu_time else time.perf_counter
    torch.set_num_threads(given.threads)
    attacker = LIBRARIES[name](networks(), given.epsilon / 255, given.steps)
    images, labels = cifar_images(given.images)
    attacker(images[:4], labels[:4])  # a warm-up
    pipe.send("ready")
    while pipe.recv():
        started = clock()
        found = attacker(images, labels)
        pipe.send((clock() - started, found.detach().cpu().float().numpy()))


def compare(given: argparse.Namespace) -> None:
    context = get_context("spawn")
    pipes = {}
    names = [name for name in LIBRARIES if not given.only or name in given.only]
    names = [BASE, *(name for name in names if name != BASE)]
    for name in names:
        pipes[name], other = context.Pipe()
        context.Process(target=serve, args=(other, name, given), daemon=True).start()
    for pipe in pipes.values():
        pipe.recv()
    times: dict[str, list[float]] = {name: [] for name in names}
    images = {}
    for turn in range(given.rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            pipes[name].send(True)
            seconds, images[name] = pipes[name].recv()
            times[name].append(seconds)
            print(f"round {turn + 1}, {name}: {seconds:.2f} s", file=sys.stderr)
    for pipe in pipes.values():
        pipe.send(False)
    nets = networks()
    _, labels = cifar_images(given.images)
    table = Table(
        title=f"Ens-MI (mean logits) on four CIFAR ResNets, {given.images} images x {given.steps} "
        f"steps, eps {given.epsilon:g}/255, {given.threads} threads, {given.rounds} rounds, "
        f"{'CPU' if given.cpu_time else 'wall'} time"
    )
    for column in ("library", "seconds (median)", "its time / ours", "success on each network, %"):
        table.add_column(column)
    for name in names:
        ratio = median(a / b for a, b in zip(times[name], times[BASE], strict=True))
        with torch.no_grad():
            found = torch.from_numpy(images[name])
            fooled = [(net(found).argmax(1) != labels).float().mean().item() for net in nets]
        rates = " ".join(f"{100 * rate:.1f}" for rate in fooled)
        table.add_row(name, f"{median(times[name]):.2f}", f"{ratio:.2f}", rates)
    Console(width=110).print(table)


def environment() -> Path:
    """Return the Python of the peers' environment, made if it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        # Packages of this environment are seen there, too: all libraries run on the same torch.
        inside = next(ENVIRONMENT.glob("lib/python*/site-packages"))
        (inside / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES], check=True)
        subprocess.run([*pip, "--no-deps", *WITHOUT_DEPENDENCIES], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epsilon", type=float, default=4.0, help="in 8-bit steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=list(LIBRARIES), help="all by default")
    parser.add_argument("--cpu-time", action="store_true", help="where others use the machine")
    given = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"no checkpoints in {DATA}; set GAUNTLET_DATA to the folder that has them")
    if Path(sys.prefix) != ENVIRONMENT:
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        inside = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        command = [str(environment()), "-m", "bench.peers", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=inside).returncode)
    compare(given)


if __name__ == "__main__":
    main()
