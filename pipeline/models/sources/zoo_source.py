"""``zoo/NAME``: the bundled face networks."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.source import Offer, Source, register
from gauntlet.pipeline.models.zoo.recipes import RECIPES
from gauntlet.pipeline.models.zoo.weights import load, problem_with
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_ROLES = {
    "surrogate": "surrogates for 48 x 48 faces",
    "target": "normally trained targets",
    "adversarial": "adversarially trained targets; aK starts from nK",
}


@register
class ZooSource(Source):
    """Networks whose weights come with the package; stored in float16, computed in float32."""

    form = "zoo/NAME"

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the name, the options or the weights' file."""
        if rest not in RECIPES:
            return [Problem("source", suggest(rest, list(RECIPES), "network of the zoo"))]
        found = []
        if spec.options:
            names = ", ".join(spec.options)
            found.append(Problem("options", f"zoo/{rest} takes none, got {names}"))
        if wrong := problem_with(rest):
            found.append(Problem("source", wrong))
        return found

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return 48 x 48, (x - 0.5) / 0.5, as all of the zoo is trained."""
        recipe = RECIPES[rest]
        architecture = ARCHITECTURES[recipe.architecture]
        return Description(
            architecture.task,
            Preprocessing(
                input_size=architecture.input_size, mean=architecture.mean, std=architecture.std
            ),
            str(recipe.adversarial) if recipe.adversarial else False,
        )

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network in float32."""
        try:
            return load(rest)
        except BadInput as error:
            raise BadInput(Problem("source", str(error))) from None

    def offers(self) -> list[Offer]:
        """Return the zoo's networks by role."""
        return [
            Offer(
                self.form,
                f"bundled: {what}",
                tuple(name for name, recipe in RECIPES.items() if recipe.role == role),
            )
            for role, what in _ROLES.items()
        ]
