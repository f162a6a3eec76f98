"""The figures of a run's report, drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import StringIO
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.plain_text import plain
from gauntlet.jobs.reports.table_cells import judge_words
from gauntlet.pipeline.evaluation.interaction_utility import Relation, relations_of

# Text stays text, and the same run gives the same file.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gauntlet",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 9,
}
_COLOURS = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
_COLUMNS = 4
_BANDS = 5
"""Most attacks whose bands can still be told apart."""


def figures_of(figures: Figures) -> Iterator[tuple[str, Figure]]:
    """Yield a run's figures by name: ``success``, ``steps``, ``interaction-SURROGATE``.

    ``steps`` needs several judged steps; the last ones need the interactions table, three attacks
    on a surrogate, and an untargeted classification.
    """
    if figures.empty:
        return
    with mpl.rc_context(_STYLE):
        yield "success", success_figure(figures.groups())
        if figures.verdicts.several_steps:
            yield "steps", steps_figure(figures.curves())
        found: dict[str, list[Relation]] = {}
        for relation in relations_of(figures.reading, figures.verdicts, figures.attacks):
            found.setdefault(relation.surrogate, []).append(relation)
        for surrogate, panels in found.items():
            yield f"interaction-{surrogate}", interaction_figure(panels)


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element."""
    sink = StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(sink, format="svg", metadata={"Date": None})
    text = sink.getvalue()
    return text[text.index("<svg") :]


def success_figure(groups: pd.DataFrame) -> Figure:
    """Draw success of each attack on each group of targets, with 95 % intervals.

    Args:
        groups: from `Figures.groups`. Dots: last step. Crosses: leave-one-out.
    """
    attacks = list(dict.fromkeys(groups["attack"]))
    place = {attack: row for row, attack in enumerate(attacks)}
    parts = list(groups.groupby(["group", "white_box"], sort=False))
    figure, panels = _panels(len(parts), height=1.2 + 0.25 * len(attacks))
    for axes, (_, part) in zip(panels, parts, strict=True):
        rows = part["attack"].map(place).to_numpy()
        rate, low, high = (100 * part[name].to_numpy() for name in ("success", "low", "high"))
        known = ~np.isnan(rate)
        axes.errorbar(
            rate[known],
            rows[known],
            xerr=np.abs([(rate - low)[known], (high - rate)[known]]),
            fmt="o",
            markersize=4,
            capsize=2,
            label="last step, 95 % interval",
        )
        if part["loo"].notna().any():
            axes.plot(100 * part["loo"], rows, "x", color="tab:red", label="LOO")
        axes.set_title(plain(judge_words(part.iloc[0].to_dict(), "group")))
        axes.set_yticks(range(len(attacks)), [plain(attack) for attack in attacks])
        axes.set_ylim(len(attacks) - 0.5, -0.5)
        axes.set_xlim(-2, 102)
        axes.set_xlabel("success %, of examples right before the attack")
    _legend(figure, panels)
    return figure


def steps_figure(curves: pd.DataFrame) -> Figure:
    """Draw success against the step, a panel for each group of targets.

    Args:
        curves: from `Figures.curves`. Bands, with few attacks: 95 % intervals.
    """
    parts = list(curves.groupby(["group", "white_box"], sort=False))
    figure, panels = _panels(len(parts), height=3.2)
    attacks = list(dict.fromkeys(curves["attack"]))
    looks = dict(zip(attacks, _looks(), strict=False))
    for axes, (_, part) in zip(panels, parts, strict=True):
        for attack, line in part.groupby("attack", sort=False):
            colour, dashes = looks[attack]
            at, rate = line["step"], 100 * line["success"]
            axes.plot(at, rate, color=colour, linestyle=dashes, label=plain(str(attack)))
            if len(attacks) <= _BANDS:
                low, high = 100 * line["low"], 100 * line["high"]
                axes.fill_between(at, low, high, color=colour, alpha=0.1, linewidth=0)
        axes.set_title(plain(judge_words(part.iloc[0].to_dict(), "group")))
        axes.set_xlabel("step")
        axes.set_ylabel("success %")
        axes.set_ylim(-2, 102)
    _legend(figure, panels)
    return figure


def interaction_figure(panels: list[Relation]) -> Figure:
    """Draw mean transfer utility against mean interaction, a panel for each target.

    Args:
        panels: relations of one surrogate. Bands: 95 %, images drawn anew.
    """
    figure, drawn = _panels(len(panels), height=3.0)
    for axes, found in zip(drawn, panels, strict=True):
        axes.plot(found.interaction, found.utility, "o", markersize=4)
        axes.plot(found.band_at, found.line, color="tab:blue", linewidth=1)
        axes.fill_between(
            found.band_at, found.band_low, found.band_high, color="tab:blue", alpha=0.15
        )
        title = f"{found.surrogate} to {found.target}"
        figures = f"n = {found.examples}, no correlation: one axis has no spread"
        if not np.isnan(found.r):
            figures = f"n = {found.examples}, r = {found.r:.2f}"
            figures += f" [{found.r_low:.2f}, {found.r_high:.2f}]"
        axes.set_title(f"{plain(title)}\n{figures}", fontsize=8)
        axes.set_xlabel("mean interaction")
        axes.set_ylabel("mean transfer utility")
        axes.ticklabel_format(axis="x", scilimits=(-2, 3))
    return figure


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(3.6 * columns + 2, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def _legend(figure: Figure, panels: list[Axes]) -> None:
    known = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(known.values(), known.keys(), loc="outside right upper", fontsize=7)


def _looks() -> Iterator[tuple[Any, str]]:
    """Yield colours, and another kind of line each time that they are used up."""
    for dashes in cycle(["-", "--", ":", "-."]):
        for colour in _COLOURS:
            yield colour, dashes
