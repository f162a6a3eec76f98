"""How the official code's set term relates to the mean interaction (specification 2.8)."""

from __future__ import annotations


def sets_factor(n: int, m: int) -> float:
    """Return c = (1 - 1/n)^m - (1 - 2/n)^m.

    This is the probability that cell a is in, and cell b is not in, a union of m cells drawn with
    replacement from n. For a quadratic utility the expected set term v(Omega) - v(Omega\\S) - v(S)
    + v(empty) therefore equals c times the sum of I_ab over ordered pairs a != b. 0.10424 for
    n = 256 and m = 32.

    Args:
        n: cells of the grid, at least 2.
        m: cells drawn for one set, at least 1.

    Raises:
        ValueError: when n or m is too small.
    """
    if n < 2 or m < 1:
        raise ValueError(f"a set needs n >= 2 cells and m >= 1 draws, got n = {n}, m = {m}")
    return (1 - 1 / n) ** m - (1 - 2 / n) ** m


def lambda_scale(n: int, m: int) -> float:
    """Return n (n - 1) c, by which ``lambda_mean = lambda_code * lambda_scale(n, m)``.

    ``lambda_code`` weighs the official code's set term, ``lambda_mean`` the mean over pairs of
    Eq. 16 (interaction paper). 6805 for n = 256 and m = 32; exact for a quadratic utility. Divides
    a set term to give the mean interaction.

    Args:
        n: cells of the grid, at least 2.
        m: cells drawn for one set, at least 1.

    Raises:
        ValueError: when n or m is too small.
    """
    return n * (n - 1) * sets_factor(n, m)
