"""Time of RGEA's combination: one pass over chunks against float64 copies of all gradients.

    python -m bench.combination [--batch 64] [--side 112] [--repeats 5]

Both take the same gradients in turn, in one process; the time is the least of the repeats, since
other load on the machine can only add to it. The second table says how far each form's weights are
from those of float64 throughout, by the gradients' likeness.
"""

from __future__ import annotations

import argparse
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from gauntlet.pipeline.attacks.combine.rgea import Rgea, least_squares_weights

RTOL = 1e-6


def by_copies(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Combine as one would write it down: norms, units and Gram matrix from float64 copies.

    Args:
        gradients: (k, B, N).

    Returns:
        The direction (B, N) and the weights (B, k).
    """
    flat = gradients.flatten(0, 1)
    lengths = flat.double().square().sum(1).sqrt().to(flat.dtype)
    units = (flat / lengths[:, None]).reshape(gradients.shape)
    wide = units.double().transpose(0, 1)
    weights = least_squares_weights(wide @ wide.mT, RTOL)
    return torch.einsum("bk,kbn->bn", weights.to(units.dtype), units), weights


def in_one_pass(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Combine as the attack does."""
    direction, weights, _ = Rgea(rtol=RTOL).combine(gradients)
    return direction, weights


def gradients(k: int, batch: int, entries: int, alike: float = 0.1) -> Tensor:
    """Return float32 gradients with that mean cosine to each other, (k, B, N)."""
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(k, batch, entries, generator=generator).mul_((1 - alike) ** 0.5)
    return own.add_(torch.randn(batch, entries, generator=generator), alpha=alike**0.5).mul_(1e-3)


def milliseconds(given: Tensor, repeats: int) -> tuple[float, float]:
    """Return the least time of either form, in turn."""
    forms, least = (by_copies, in_one_pass), [float("inf"), float("inf")]
    for _ in range(repeats + 1):
        for index, form in enumerate(forms):
            started = time.perf_counter()
            form(given)
            least[index] = min(least[index], time.perf_counter() - started)
    return 1e3 * least[0], 1e3 * least[1]


def error(given: Tensor, weights: Tensor) -> str:
    """Return the greatest difference of weights from float64 throughout."""
    wide = given.double()
    exact = least_squares_weights(_gram(wide / wide.norm(dim=2, keepdim=True)), RTOL)
    return f"{float((weights - exact).abs().max()):.1e}"


def _gram(units: Tensor) -> Tensor:
    rows = units.transpose(0, 1)
    return rows @ rows.mT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    entries = 3 * asked.side**2
    times = Table(title=f"RGEA's combination, batch {asked.batch}, 3 x {asked.side} x {asked.side}")
    for column in ("k", "threads", "float64 copies, ms", "one pass, ms", "ratio"):
        times.add_column(column)
    for k in (5, 20):
        given = gradients(k, asked.batch, entries)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            before, after = milliseconds(given, asked.repeats)
            figures = (f"{before:.1f}", f"{after:.1f}", f"{before / after:.1f}")
            times.add_row(str(k), str(threads), *figures)
    errors = Table(title="greatest difference of a weight from float64 throughout, k = 5")
    for column in ("cosine of the gradients", "float64 copies of float32 units", "one pass",
                   "float32 throughout"):  # fmt: skip
        errors.add_column(column)
    for alike in (0.0, 0.9, 0.999):
        given = gradients(5, 8, entries, alike)
        units = given / given.norm(dim=2, keepdim=True)
        rough = least_squares_weights(_gram(units).double(), RTOL)
        found = (by_copies(given)[1], in_one_pass(given)[1], rough)
        errors.add_row(f"{alike:g}", *(error(given, weights) for weights in found))
    console = Console(width=100)
    console.print(times)
    console.print(errors)


if __name__ == "__main__":
    main()
