"""Oracle tests of specification 2.1 (relaxed) and 2.7: steps other than plain ones and momentum."""

from tests.toys.surrogates import recipe

EPS = 16 / 255


def relaxed(**options):
    """Gradient ascent on a linear or quadratic toy, with a sphere that is far away."""
    fields = {"norm": "l2", "epsilon_unit": "abs", "epsilon": options.pop("tau", 1e3)}
    fields["steps"] = options.pop("steps")
    return recipe(base="relaxed", **fields, options={"relaxed": options})
