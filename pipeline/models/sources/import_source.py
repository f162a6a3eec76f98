"""``import:package.module:factory``: a network made by your own code."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from pipeline.models.adapter import Model
from pipeline.models.frozen import frozen_copy
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.sources.source import Convention, Offer
from pipeline.models.spec import ModelSpec
from pipeline.problems import BadInput, Problem


class ImportSource:
    """Factories in importable modules, or in modules beside the job file.

    The factory is called with the spec's options as keyword arguments and returns an nn.Module
    that takes images in [0, 1], unless the spec gives mean and std.
    """

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return why there is no such factory, or why it does not take the options."""
        try:
            factory = _factory(rest, root)
        except BadInput as error:
            return list(error.problems)
        try:
            inspect.signature(factory).bind(**spec.options)
        except TypeError as error:
            return [Problem("options", f"{rest} does not take these options: {error}")]
        except ValueError:
            pass  # some builtins have no signature
        return []

    def convention(self, rest: str, spec: ModelSpec, root: Path) -> Convention:
        """Return that nothing is added to the network."""
        return Convention(None, Preprocessing())

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return what the factory makes, as a frozen copy: the module may be in use elsewhere."""
        made = _factory(rest, root)(**spec.options)
        if isinstance(made, Model) or not isinstance(made, nn.Module):
            raise _problem(f"{rest} returned {type(made).__name__}, expected a bare nn.Module")
        return frozen_copy(made)

    def offers(self) -> list[Offer]:
        """Return the form."""
        what = "your own factory, called with the model's options; returns an nn.Module"
        return [Offer("import:MODULE:FACTORY", what)]


def _factory(rest: str, root: Path) -> Callable[..., object]:
    module_name, _, name = rest.partition(":")
    if not module_name or not name:
        raise _problem(f"expected import:package.module:factory, got 'import:{rest}'")
    # Modules beside the job file come last, so that they cannot hide an installed package.
    folder = str(root.resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _problem(
            f"cannot import {module_name!r}: {error}; install the package, or put the module "
            f"into {folder}"
        ) from None
    except Exception as error:
        raise _problem(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        known = [n for n, v in vars(sys.modules[module_name]).items() if _public(n, v, module_name)]
        hint = f"; it defines {', '.join(known[:10])}" if known else ""
        raise _problem(f"{module_name!r} has no callable {name!r}{hint}")
    return found


def _public(name: str, value: object, module: str) -> bool:
    made_here = (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module
    return made_here and not name.startswith("_")


def _problem(what: str) -> BadInput:
    return BadInput(Problem("source", what))
