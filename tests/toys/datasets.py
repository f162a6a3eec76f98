"""Small data sets on disk, good and bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.examples import Examples, check, open_examples

_ADAPTER: TypeAdapter[Any] = TypeAdapter(DataSpec)


def spec(**fields: Any) -> Any:
    return _ADAPTER.validate_python(fields)


def opened(root: Path, goal: Goal, /, seed: int = 0, **fields: Any) -> Examples:
    return open_examples(spec(**fields), goal, root=root, seed=seed)


def problems(root: Path, goal: Goal, /, **fields: Any) -> list[str]:
    return [str(problem) for problem in check(spec(**fields), goal, root)]


def pixels(count: int, height: int = 4, width: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def write_npz(path: Path, count: int = 6, **arrays: Any) -> Path:
    content = {"images": pixels(count), "labels": np.arange(count) % 3} | arrays
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


def write_image(path: Path, height: int = 4, width: int = 5, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels(1, height, width)[0])
    (image if mode == "RGB" else image.convert(mode)).save(path)
    return path


def write_text(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def write_lfw(root: Path, sets: int = 2, size: int = 2) -> Path:
    """Write a tree in LFW's layout: each set has ``size`` people with two pictures each."""
    lines = [f"{sets}\t{size}"]
    for block in range(sets):
        people = [f"Person_{block}{number}" for number in range(size)]
        for person in people:
            for picture in (1, 2):
                write_image(root / person / f"{person}_{picture:04d}.jpg", 20, 20)
        lines += [f"{person}\t1\t2" for person in people]
        lines += [f"{a}\t1\t{b}\t2" for a, b in zip(people, people[1:] + people[:1], strict=True)]
    write_text(root / "pairs.txt", *lines)
    return root


def grow(root: Path, *names: str) -> Path:
    """Make one small image at each of the names."""
    content = write_image(root / "image.png").read_bytes()
    (root / "image.png").unlink()
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root
