"""Game-theoretic interactions between the units of a perturbation, as a measurement."""

from gauntlet.pipeline.interactions.cells import Borders, Grid
from gauntlet.pipeline.interactions.curvature import curvature, self_terms
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import Game, PerturbationGame
from gauntlet.pipeline.interactions.interaction_spec import InteractionSpec
from gauntlet.pipeline.interactions.mean_interaction import (
    mean_interaction,
    sampled_mean_interaction,
    set_interaction,
    sum_interaction,
)
from gauntlet.pipeline.interactions.measure import Measured, measure
from gauntlet.pipeline.interactions.neighbours import (
    neighbour_map,
    neighbour_pairs,
    sampled_neighbour_map,
)
from gauntlet.pipeline.interactions.orders import (
    order_interactions,
    sampled_order_interactions,
    sampled_pair_order_interactions,
)
from gauntlet.pipeline.interactions.pairwise import (
    interaction_matrix,
    pair_interactions,
    sampled_pair_interactions,
)
from gauntlet.pipeline.interactions.scales import lambda_scale, sets_factor
from gauntlet.pipeline.interactions.shapley import sampled_shapley_values, shapley_values

__all__ = [
    "Borders",
    "Estimate",
    "Game",
    "Grid",
    "InteractionSpec",
    "Measured",
    "PerturbationGame",
    "curvature",
    "interaction_matrix",
    "lambda_scale",
    "mean_interaction",
    "measure",
    "neighbour_map",
    "neighbour_pairs",
    "order_interactions",
    "pair_interactions",
    "sampled_mean_interaction",
    "sampled_neighbour_map",
    "sampled_order_interactions",
    "sampled_pair_interactions",
    "sampled_pair_order_interactions",
    "sampled_shapley_values",
    "self_terms",
    "set_interaction",
    "sets_factor",
    "shapley_values",
    "sum_interaction",
]
