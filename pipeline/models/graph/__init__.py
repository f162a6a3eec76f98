"""Networks as graphs (torch.fx): their layers, their residual branches, and copies to rewrite."""

from gauntlet.pipeline.models.graph.layers import LayerInfo, default_layer, layers, tap, truncate
from gauntlet.pipeline.models.graph.residuals import Residual, residuals
from gauntlet.pipeline.models.graph.tracing import trace

__all__ = [
    "LayerInfo",
    "Residual",
    "default_layer",
    "layers",
    "residuals",
    "tap",
    "trace",
    "truncate",
]
