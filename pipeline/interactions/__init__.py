"""Game-theoretic interactions between the units of a perturbation, as a measurement."""

from pipeline.interactions.cells import Borders, Grid
from pipeline.interactions.curvature import curvature, self_terms
from pipeline.interactions.estimate import Estimate
from pipeline.interactions.game import Game, PerturbationGame
from pipeline.interactions.mean import (
    mean_interaction,
    sampled_mean_interaction,
    set_interaction,
    sum_interaction,
)
from pipeline.interactions.measure import Measured, measure
from pipeline.interactions.neighbours import (
    neighbour_map,
    neighbour_pairs,
    sampled_neighbour_map,
)
from pipeline.interactions.orders import (
    order_interactions,
    sampled_order_interactions,
    sampled_pair_order_interactions,
)
from pipeline.interactions.pairs import (
    interaction_matrix,
    pair_interactions,
    sampled_pair_interactions,
)
from pipeline.interactions.scales import lambda_scale, sets_factor
from pipeline.interactions.shapley import sampled_shapley_values, shapley_values
from pipeline.interactions.spec import InteractionSpec

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
