"""Examples in words: how many, of which classes and sizes, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from gauntlet.pipeline.data.decoding import header_of
from gauntlet.pipeline.data.examples import Examples

LOOKED_AT = 64
"""Image files whose headers are read to say what they are like."""


def described(examples: Examples, source: str) -> list[str]:
    """Return lines that tell a person what was read; the first has the counts.

    Of image files a few headers are read, spread over all; no pixel is.

    Args:
        examples: the examples of a run.
        source: kind of the source, as the job has it.
    """
    account = examples.account
    parts = [f"{len(examples):,} examples from {source}"]
    if account.held != len(examples):
        parts[0] += f" (of {account.held:,})"
    if account.labels is not None:
        low, high = account.labels
        parts.append(f"labels {low} to {high}, {account.present:,} of {account.classes:,} classes")
    if examples.listing.pairs is not None:
        same = int(examples.listing.pairs.same.sum())
        different = len(examples.listing.pairs.same) - same
        parts.append(f"{same:,} pairs of one person and {different:,} of different people")
    size = examples.listing.store.image_size
    if size is not None:
        parts.append(f"images {size[0]} x {size[1]}")
    lines = ["; ".join(parts)]
    if account.labels is not None and account.labels[0] == 1:
        lines.append("no label is 0: if the first class is 1, set `labels_from: 1`")
    lines += account.notes
    lines += _files(examples)
    if account.left_out:
        lines.append(f"left out: {'; '.join(map(str, account.left_out))}")
    return lines


def _files(examples: Examples) -> Iterator[str]:
    """Yield what the headers of some image files say."""
    store = examples.listing.store
    folder = store.folder
    if folder is None or not len(examples):
        return
    places = np.linspace(0, len(examples) - 1, min(LOOKED_AT, len(examples))).round().astype(int)
    files = [store.names[examples.listing.first[place]] for place in places.tolist()]
    headers = [header for file in files if (header := header_of(folder / file)) is not None]
    sizes = Counter(header.size for header in headers)
    of = f"of {len(files)} files looked at"
    if sizes and set(sizes) != {store.image_size}:  # else the counts have said it
        (height, width), most = sizes.most_common(1)[0]
        others = f", {len(sizes) - 1} other sizes" if len(sizes) > 1 else ""
        yield f"{of}, {most} are {height} x {width} (height x width){others}"
    if broken := len(files) - len(headers):
        yield f"{of}, {broken} have no header of an image in a known format"
    if turned := sum(header.turned for header in headers):
        yield f"{of}, {turned} are stored turned (EXIF); they are taken as stored"
    if moving := sum(header.frames > 1 for header in headers):
        yield f"{of}, {moving} hold several pictures; the first is taken"
