"""Networks for the tests of surgery: published architectures, and toys with known derivatives."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

import timm
import torch
from facenet_pytorch import InceptionResnetV1
from torch import Tensor, fx, nn
from torchvision import models
from torchvision.models import vgg

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.streams import streaming

ROWS = ("a", "b")


def vgg11() -> nn.Module:
    """torchvision's, with linear layers 64 wide: theirs are 130 million weights to draw."""
    made = nn.Sequential(
        OrderedDict(
            features=vgg.make_layers(vgg.cfgs["A"]),
            avgpool=nn.AdaptiveAvgPool2d(7),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                *(nn.Linear(512 * 49, 64), nn.ReLU(True), nn.Dropout()),
                *(nn.Linear(64, 64), nn.ReLU(True), nn.Dropout()),
                nn.Linear(64, 10),
            ),
        )
    )
    for part in made.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(part.get_parameter("bias"))
    return made


ZOO: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "cifar-resnet-20": (ARCHITECTURES["cifar-resnet-20"].constructor, (32, 32)),
    "mobilefacenet-112": (ARCHITECTURES["mobilefacenet-112"].constructor, (112, 112)),
    "mobilefacenet-112x96": (ARCHITECTURES["mobilefacenet-112x96"].constructor, (112, 96)),
    "resnet18": (models.resnet18, (48, 48)),
    "resnet50": (models.resnet50, (48, 48)),
    "densenet121": (models.densenet121, (32, 32)),
    "vgg11": (vgg11, (32, 32)),
    "googlenet": (lambda: models.googlenet(init_weights=False), (48, 48)),
    "inception_v3": (lambda: models.inception_v3(init_weights=False), (80, 80)),
    "vit_tiny": (lambda: timm.create_model("vit_tiny_patch16_224", img_size=48), (48, 48)),
    "inception_resnet_v2": (lambda: timm.create_model("inception_resnet_v2"), (80, 80)),
    "facenet": (InceptionResnetV1, (80, 80)),
}


def network(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A published architecture with random weights, the caller's own."""
    return copy.deepcopy(_made(name)).to(dtype)


@lru_cache(maxsize=3)  # the few that a test takes in turn: all take more than a gigabyte
def _made(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the architectures' own initialisation is not keyed
        return ZOO[name][0]().eval().requires_grad_(False)


def folded(name: str) -> nn.Module:
    made = fold_batch_norm(network(name), probe=images(name))
    assert made.folded
    return made.model


def images(name: str, dtype: torch.dtype = torch.float32, rows: int = 2) -> Tensor:
    draws = Draws.keyed(0, [f"image-{row}" for row in range(rows)])
    return draws.uniform("images", (3, *ZOO[name][1]), dtype=dtype)


def random(purpose: str, *shape: int) -> Tensor:
    """Numbers in [-1, 1), float64."""
    return 2 * Draws.keyed(1, ["toy"]).uniform(purpose, shape, dtype=torch.float64)[0] - 1


def outputs_and_gradient(made: nn.Module, at: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs, and the gradient of a smooth function of them, with keyed draws."""
    points = at.clone().requires_grad_()
    with streaming(Draws.keyed(seed, ROWS[: len(at)])):
        outputs = made(points)
    weights = torch.linspace(0.5, 1.5, outputs.shape[1], dtype=outputs.dtype)
    (gradient,) = torch.autograd.grad((outputs * weights).sum(), points)
    return outputs.detach(), gradient


def pull_back(made: nn.Module, at: Tensor, cotangent: Tensor) -> Tensor:
    """cotangent^T (d made / d x), row by row."""
    points = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made(points), points, cotangent)
    return gradient


class LinearResidual(nn.Module):
    """x -> x + F_l x, one layer after the other; (R, D) in float64."""

    def __init__(self, width: int = 5, depth: int = 3) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        for index, part in enumerate(self.parts):
            part.weight = nn.Parameter(random(f"F{index}", width, width), requires_grad=False)

    @property
    def matrices(self) -> list[Tensor]:
        return [part.get_parameter("weight") for part in self.parts]

    def forward(self, values: Tensor) -> Tensor:
        for part in self.parts:
            values = values + part(values)
        return values


class Stack(nn.Module):
    """W_l relu(... relu(W_0 x)); an activation after every layer but the last, in place."""

    def __init__(self, active: Callable[[], nn.Module], width: int = 6, depth: int = 4) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))
        self.actives = nn.ModuleList(active() for _ in range(depth - 1))
        for index, part in enumerate(self.linears):
            part.weight = nn.Parameter(random(f"W{index}", width, width), requires_grad=False)
        self.double()

    def forward(self, values: Tensor) -> Tensor:
        for linear, active in zip(self.linears, self.actives, strict=False):
            values = active(linear(values))
        return self.linears[-1](values)


class InPlaceBlocks(nn.Module):
    """Residual blocks that overwrite what they can: one shared in-place ReLU, and +=.

    h = relu(W_0 x); h = relu(h + B_l relu(A_l h)); y = h.
    """

    def __init__(self, width: int = 6, depth: int = 3) -> None:
        super().__init__()
        names = ["stem", *(f"{kind}{index}" for index in range(depth) for kind in "AB")]
        self.linears = nn.ModuleDict({name: nn.Linear(width, width, bias=False) for name in names})
        for name in names:
            weight = random(f"in place {name}", width, width)
            self.linears[name].weight = nn.Parameter(weight, requires_grad=False)
        self.relu = nn.ReLU(inplace=True)
        self.depth = depth

    def weight(self, name: str) -> Tensor:
        return self.linears[name].get_parameter("weight")

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.relu(self.linears["stem"](values))
        for index in range(self.depth):
            inner = self.linears[f"B{index}"](self.relu(self.linears[f"A{index}"](hidden)))
            inner += hidden
            hidden = self.relu(inner)
        return hidden


def count(graph: nn.Module, name: str) -> int:
    assert isinstance(graph, fx.GraphModule)
    return sum(getattr(node.target, "__name__", "") == name for node in graph.graph.nodes)
