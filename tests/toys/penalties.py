"""Oracle tests of spec. 2.8: the interaction-reduced attack, its relatives, and their options."""

import torch

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.penalties.ir import SetInteractions
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle import InProcessOracle
from tests.toys.surrogates import Scalar, SmallNet, images, names, scalar_batch, vectors

TOKENS = ("ir", "ir-mean", "ir-closed", "interaction-only")

SMALL = {"grid": 4, "sets": 3, "cells": 4}


def answer(attack, batch, module, points, *, step=0, rows_per_pass=256):
    """The answer of one surrogate to an attack's query at some points."""
    method = attack.method(batch.goal, batch.images[0].numel())
    setting = Setting(batch, method.query, 0, attack.label, step)
    model = adapt(module, name="m0")
    asked = InProcessOracle([model], rows_per_pass=rows_per_pass)
    return asked.gradients(setting, [Question(0, points)])[0]


def moved(clean, size=0.05, seed=9):
    return clean + size * vectors(len(clean), seed, clean.shape[1:])


class Curved:
    """Loss = g.delta + delta^T H delta / 2 of each image, delta from its own clean image."""

    def __init__(self, clean, seed=3):
        generator = torch.Generator().manual_seed(seed)
        self.clean = clean
        size = clean[0].numel()
        drawn = torch.randn(size, size, generator=generator, dtype=torch.float64)
        self.hessian = (drawn + drawn.T) / size**0.5
        self.slope = torch.randn(size, generator=generator, dtype=torch.float64)
        self.module = Scalar(self)

    def __call__(self, points):
        delta = (points - self.clean[:1]).flatten(1)
        return delta @ self.slope + 0.5 * (delta @ self.hessian * delta).sum(1)

    def apart(self, grid):
        """H with the blocks inside cells set to zero."""
        labels = Grid(grid, grid).labels(*self.clean.shape[2:])
        cell = labels.expand(3, -1, -1).flatten()
        return self.hessian.masked_fill(cell[:, None] == cell, 0.0)

    def gradient(self, delta, hessian):
        return (self.slope + delta.flatten(1) @ hessian).reshape(delta.shape)


def one_image(shape=(3, 8, 8)):
    clean = images(1, shape=shape)
    return scalar_batch(clean), Curved(clean)


class Given(SetInteractions):
    """IR with sets that a test names instead of drawn ones."""

    members: tuple[tuple[bool, ...], ...]

    def coalitions(self, draws, device):
        return torch.tensor(self.members).expand(len(draws), -1, -1)


def with_sets(members, grid, *, objective=None, **fields):
    part = Given(members=tuple(map(tuple, members)), grid=grid, **fields)
    return Attack(base="ir", options={"ir": part}, objective=objective)


class Embedding(SmallNet):
    def forward(self, images):
        return super().forward(images) + torch.arange(4)


def faces(goal=Goal.IMPERSONATION):
    clean, reference = images(3), images(3, seed=4)
    return Batch(names(3), clean, goal, references=reference)


def residual():
    torch.manual_seed(0)  # the architecture's own initialisation is not keyed
    return CifarResNet(2).double().eval()
