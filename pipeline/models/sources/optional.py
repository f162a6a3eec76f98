"""Libraries that one source needs and nothing else does: imported when a job names the source."""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import Any

from gauntlet.pipeline.problems import BadInput, Problem


def library(module: str, source: str, install: str) -> Any:
    """Return a module of a library that is no dependency of this package.

    Args:
        module: its name.
        source: what needs it: ``hf:``.
        install: the line that installs it.

    Raises:
        BadInput: when it is not installed, or when something that it needs itself is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        absent = isinstance(error, ModuleNotFoundError) and error.name == top
        what = f"{top} is not installed" if absent else f"{top} cannot be imported ({error})"
        raise BadInput(Problem("source", f"{source} sources: {what}; {install}")) from None
    logging.getLogger(module.partition(".")[0]).setLevel(logging.ERROR)
    return found
