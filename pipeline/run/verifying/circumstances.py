"""In what a process is another than those of a run, and what that may do to the last bits."""

from __future__ import annotations

from collections.abc import Mapping

from gauntlet.pipeline.results.manifest import Manifest, ModelCard
from gauntlet.pipeline.run.software import software

ROUNDING = ("torch", "torchvision", "numpy", "machine")
"""Of `Manifest.software`, what decides in which order numbers are added up."""
WHY = (
    "numbers are then added up in another order: scores differ in their last digits, and a step "
    "that follows the sign of a gradient makes a whole level of that where it is nearly zero"
)
NONE = (
    "as far as the run says, software, devices and threads are the same: what differs was changed "
    "since, in the run, the data or the code"
)


def circumstances(
    manifest: Manifest, cards: Mapping[str, ModelCard], moved: bool
) -> tuple[str, ...]:
    """Return in what this process is another than those that the run says it was done by.

    Args:
        manifest: of the run.
        cards: of the models as they were built here.
        moved: whether where and how the run is done was changed on its way.
    """
    here = software()
    found = [
        f"{name} {manifest.software.get(name, 'of no known version')} then, {here[name]} now"
        for name in ROUNDING
        if manifest.software.get(name) != here[name]
    ]
    for what in ("device", "hardware", "threads"):
        then = {getattr(card, what) for card in manifest.models.values()} - {None}
        now = {getattr(card, what) for card in cards.values()}
        if then and then != now:
            found.append(f"{what} {_listed(then)} then, {_listed(now)} now")
    if moved:
        found.append("resources were changed while the run went on: units before have the old ones")
    return tuple(found)


def _listed(values: set[object]) -> str:
    return " and ".join(sorted(map(str, values)))
