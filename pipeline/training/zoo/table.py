"""The zoo's page: what each network is and was found to be worth, from the files themselves."""

from __future__ import annotations

import textwrap
from pathlib import Path

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.matching import on_meta
from gauntlet.pipeline.models.zoo.recipes import RECIPES, Recipe
from gauntlet.pipeline.models.zoo.weights import WEIGHTS, metadata
from gauntlet.pipeline.training.zoo import evaluate

_HEADINGS = (
    "name", "role", "architecture", "parameters", "head", "trained", "threshold", "accuracy, %",
    "clean-attack rate, %", "PGD-20, %", "twin's PGD-20, %",
)  # fmt: skip


def markdown(folder: Path = WEIGHTS) -> str:
    """Return the page; a network without weights has dashes."""
    rows = [_row(recipe, folder) for recipe in RECIPES.values()]
    rule = ["---", "---", "---", "---:", "---", "---", *["---:"] * 5]
    table = "\n".join("| " + " | ".join(row) + " |" for row in ([*_HEADINGS], rule, *rows))
    parts = [_INTRODUCTION, table, *_trade_off(folder)]
    return "\n".join(parts) + "\n"


def _trade_off(folder: Path) -> list[str]:
    """Return what adversarial training cost and brought, over the networks that are there."""
    costs, own, before = [], [], []
    for recipe in RECIPES.values():
        found = metadata(recipe.name, folder)
        twin = metadata(recipe.twin, folder) if recipe.twin else {}
        if found and twin:
            costs.append(100 * (float(twin["accuracy"]) - float(found["accuracy"])))
            own.append(100 * float(found["white_box"]))
            before.append(100 * float(twin["white_box"]))
    if not costs:
        return []
    text = (
        f"Accuracy against robustness: adversarial training cost {min(costs):.1f} to "
        f"{max(costs):.1f} points of accuracy and brought the success of PGD-20 from "
        f"{min(before):.0f}-{max(before):.0f} % down to {min(own):.0f}-{max(own):.0f} %. "
        f"{_OTHER_WAYS}"
    )
    return ["", *textwrap.wrap(text, 100, break_on_hyphens=False)]


def _row(recipe: Recipe, folder: Path) -> list[str]:
    found = metadata(recipe.name, folder)
    network = on_meta(ARCHITECTURES[recipe.architecture].constructor)
    size = sum(value.numel() for value in network.parameters())
    twin = metadata(recipe.twin, folder) if recipe.twin else {}
    if found:
        error = 100 * float(found["standard_error"])
        figures = [
            f"{float(found['threshold']):.3f}",
            f"{100 * float(found['accuracy']):.2f} ± {error:.2f}",
            f"{100 * float(found['clean_rate']):.1f}",
            f"{100 * float(found['white_box']):.1f}",
        ]
    else:
        figures = ["-"] * 4
    beside = f"{100 * float(twin['white_box']):.1f} ({recipe.twin})" if twin else "-"
    return [
        f"`{recipe.name}`",
        recipe.role,
        recipe.architecture.removeprefix("zoo-"),
        f"{size:,}",
        _head(recipe),
        _trained(recipe),
        *figures,
        beside,
    ]


def _head(recipe: Recipe) -> str:
    return recipe.head if recipe.head == "softmax" else f"{recipe.head} {recipe.margin:g}"


def _trained(recipe: Recipe) -> str:
    settings = recipe.adversarial
    if settings is None:
        return f"{recipe.images:,} images"
    method = settings.method.upper()
    if settings.method == "trades":
        method += f" beta {settings.beta:g}"
    elif settings.inner == "loss":
        method += " (loss)"
    return f"{method}, {recipe.images:,} images from {recipe.twin}"


_OTHER_WAYS = (
    "Tried from n1, and left for the better trade: PGD-AT, on adversarial images alone, ends at "
    "96.4 % and 58 % (280,000 images, a quarter of n1's learning rate) or, with 100,000 images, at "
    "95.0 % and 63 % (three inner steps, half the rate), 95.1 % and 60 % (the full rate), 95.1 % "
    "and 59 % (margin 0.5 on top); TRADES with beta 12 at 95.1 % and 51 % on as many images."
)

_INTRODUCTION = f"""# The bundled zoo

Face networks for 48 x 48 pictures of rendered people, small enough to be trained by one CPU core
in minutes each: `zoo/NAME` in a job. All settings are in `recipes.py`; `gauntlet zoo train` trains
them anew, `gauntlet zoo table` writes this page.

Accuracy: the LFW protocol with {evaluate.FOLDS} folds of {evaluate.SAME} same-person and
{evaluate.SAME} different-person pairs of {evaluate.IDENTITIES:,} people that no network was trained
on, with its standard error. Clean-attack rate: share of {evaluate.ATTACKED} different-person pairs
above the threshold without an attack. PGD-20: the same after impersonation in white box, l_inf
8/255, 20 steps of 1/255 from a random start. Adversarially trained networks start from their twins'
weights.
"""
