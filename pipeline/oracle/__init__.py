"""Gradient oracles: where surrogates live and how they are asked."""

from gauntlet.pipeline.attacks.ask import Oracle
from gauntlet.pipeline.oracle.in_process import InProcessOracle
from gauntlet.pipeline.oracle.remote import RemoteOracle
from gauntlet.pipeline.oracle.responder import Responder

__all__ = ["InProcessOracle", "Oracle", "RemoteOracle", "Responder"]
