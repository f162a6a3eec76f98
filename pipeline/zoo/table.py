"""The zoo's page: what each network is and was found to be worth, from the files themselves."""

from __future__ import annotations

from pathlib import Path

from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.matching import on_meta
from pipeline.zoo import evaluate
from pipeline.zoo.recipes import RECIPES, Recipe
from pipeline.zoo.weights import WEIGHTS, metadata

_HEADINGS = (
    "name", "role", "architecture", "parameters", "head", "trained", "threshold", "accuracy, %",
    "clean-attack rate, %", "PGD-20, %", "twin's PGD-20, %",
)  # fmt: skip


def markdown(folder: Path = WEIGHTS) -> str:
    """Return the page; a network without weights has dashes."""
    rows = [_row(recipe, folder) for recipe in RECIPES.values()]
    rule = ["---", "---", "---", "---:", "---", "---", *["---:"] * 5]
    table = "\n".join("| " + " | ".join(row) + " |" for row in ([*_HEADINGS], rule, *rows))
    return f"{_INTRODUCTION}\n{table}\n"


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
