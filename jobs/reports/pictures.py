"""Pictures of a run: what was attacked, what came of it, and the perturbation, magnified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure
from torch import Tensor

from gauntlet.jobs.reports.plain_text import plain
from gauntlet.pipeline import results
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.problems import BadInput, Problem, suggest
from gauntlet.pipeline.results.reading import Reading, one_of, under
from gauntlet.pipeline.results.records import check_run
from gauntlet.pipeline.run.plan import plan_of

Pixels = npt.NDArray[np.float64]
"""(H, W, 3) in [0, 1]."""

MOST_ATTACKS = 8
LOOKED_AT = 256
"""Examples of the data whose images are asked for at first; four times as many if too few have."""
_FORMATS = (".png", ".svg", ".pdf")
_COLUMNS = ("example", "attack", "norm", "epsilon", "height", "width", "dtype", "image")


def write_pictures(run: str, path: Path, attacks: Sequence[str], count: int) -> None:
    """Draw the perturbations of a run (RGEA paper, Figure 4) into a PNG, SVG or PDF file.

    Two rows an example: the clean and the adversarial images, and below them the second image of a
    pair (or the one of the wanted class, if the data gives one) and the perturbations, grey where
    nothing changed; black and white are the budget of l_inf attacks, and the largest change of the
    picture for others.

    Args:
        run: the run's folder; its data must still be where its job says.
        path: the file; its suffix chooses the format.
        attacks: labels, a column each; all of the run by default, at most `MOST_ATTACKS`.
        count: number of examples, the first in the order of the data that all attacks have.

    Raises:
        BadInput: when there is no run in the folder, an attack or the format is unknown, the run
            stores no images, or no example has all.
        OSError: when the file cannot be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise BadInput(Problem("--out", f"{path}: expected a .png, .svg or .pdf file"))
    check_run(run)
    reading = Reading(run)
    known = reading.manifest.labels
    if unknown := [label for label in attacks if label not in known]:
        raise BadInput(Problem("--attack", suggest(label, known, "attack")) for label in unknown)
    chosen = list(attacks) or known[:MOST_ATTACKS]
    plan = plan_of(run)
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    wanted = _complete(reading, chosen, examples.ids, count)
    made = _images(reading, chosen, wanted, _COLUMNS)
    batch = examples.select(wanted).load(range(len(wanted))).batch
    if batch is None:
        raise BadInput(Problem(run, "its images can no longer be decoded"))
    clean = {name: pixels(image) for name, image in zip(batch.ids, batch.images, strict=True)}
    others = batch.references if batch.references is not None else ()
    beside = {name: pixels(image) for name, image in zip(batch.ids, others, strict=False)}
    figure = draw(clean, made, chosen, beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _complete(reading: Reading, attacks: list[str], ids: Sequence[str], count: int) -> list[str]:
    """Return the first examples of the data that have an image of every attack; reads no image.

    Raises:
        BadInput: when there is none.
    """
    found, seen, begin, end = list[str](), False, 0, LOOKED_AT
    while begin < len(ids) and len(found) < count:
        rows = _images(reading, attacks, ids[begin:end], ("example", "attack"))
        complete = rows.groupby("example")["attack"].nunique() == len(attacks)
        found += [name for name in ids[begin:end] if complete.get(name, False)]
        seen, begin, end = seen or len(rows) > 0, end, 4 * end
    if found:
        return found[:count]
    what = "no example has an image of every one of these attacks yet"
    if not seen:
        what = "stores no images of these attacks; its job needs `evaluate: {images: true}`"
    raise BadInput(Problem(reading.location, what))


def _images(
    reading: Reading, attacks: Sequence[str], examples: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """Return columns of the rows with an image; of the files no more is read than has them."""
    where = one_of("attack", attacks) & one_of("example", examples) & pc.field("dtype").is_valid()
    where &= under(reading.manifest.seed)  # of several seeds the first, which all attacks have

    def of(file: str) -> list[pa.RecordBatch]:
        return [*reading.folder.batches(file, "examples", columns, where)]

    batches = [batch for file in reading.by_file("examples", of) for batch in file]
    schema = pa.schema([results.TABLES["examples"].field(name) for name in columns])
    found: pd.DataFrame = pa.Table.from_batches(batches, schema).to_pandas()
    return found


def pixels(image: Tensor) -> Pixels:
    """Return an image (3, H, W) in [0, 1] as matplotlib draws it, (H, W, 3)."""
    return image.permute(1, 2, 0).double().numpy()


def perturbation(clean: Pixels, row: pd.Series) -> tuple[Pixels, Pixels]:
    """Return a row's adversarial image, and the change to [0, 1]: 0.5 is none.

    Args:
        clean: (H, W, 3) in [0, 1].
        row: of the `examples` table.
    """
    image = results.decode_image(row)
    hard = image / 255.0 if image.dtype == np.uint8 else image.astype(np.float64)
    change = hard - clean
    whole = row["epsilon"] / 255 if row["norm"] == "linf" else float(np.abs(change).max())
    return hard, np.clip(0.5 + 0.5 * change / (whole or 1.0), 0, 1)


def draw(
    clean: dict[str, Pixels],
    made: pd.DataFrame,
    attacks: Sequence[str],
    beside: Mapping[str, Pixels] = MappingProxyType({}),
) -> Figure:
    """Return the drawing.

    Args:
        clean: images by example.
        made: rows of the `examples` table.
        attacks: labels, a column each.
        beside: what the attacker compares with or wants, by example; may be empty.
    """
    rows = {(row["example"], row["attack"]): row for _, row in made.iterrows()}
    with mpl.rc_context({"font.size": 7}):
        size = (1.3 * (1 + len(attacks)), 2.6 * len(clean) + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2 * len(clean), 1 + len(attacks), squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for place, (name, image) in enumerate(clean.items()):
            grid[2 * place, 0].imshow(image)
            grid[2 * place, 0].set_title(plain(name) if place else f"clean\n{plain(name)}")
            if name in beside:
                grid[2 * place + 1, 0].imshow(beside[name])
            for column, label in enumerate(attacks, 1):
                hard, change = perturbation(image, rows[name, label])
                grid[2 * place, column].imshow(hard)
                grid[2 * place + 1, column].imshow(change)
                if not place:
                    grid[0, column].set_title(plain(label).replace("/", "\n"))
    return figure
