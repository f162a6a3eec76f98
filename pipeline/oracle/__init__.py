"""Gradient oracles: where surrogates live and how they are asked."""

from pipeline.attacks.ask import Oracle
from pipeline.oracle.in_process import InProcessOracle
from pipeline.oracle.responder import Responder

__all__ = ["InProcessOracle", "Oracle", "Responder"]
