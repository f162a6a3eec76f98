"""``import:package.module:factory``: a network made by the person's own code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from torch import nn

from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.frozen import frozen_copy
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.own_factory import find_factory
from gauntlet.pipeline.models.sources.own_modules import find_module, told
from gauntlet.pipeline.models.sources.source import Missing, Offer, Permitting, register
from gauntlet.pipeline.problems import BadInput, Problem


@register
class ImportSource(Permitting):
    """Factories in modules that may be run (`gauntlet.pipeline.models.sources.permission`).

    The factory is called with the spec's options as keyword arguments and returns an nn.Module
    that takes images in [0, 1], unless the spec gives mean and std. It is defined in the person's
    code itself: what a module has imported from elsewhere is not the person's to run by a job.
    """

    form = "import:MODULE:FACTORY"
    fields = frozenset({"fetch", "files"})

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return why there is no such factory, the files it lacks, the options it refuses."""
        if gone := self.missing(rest, spec, root):
            return [Problem("files", f"no such file: {one.path}") for one in gone]
        try:
            factory, _ = self._factory(rest, root)
        except BadInput as error:
            return list(error.problems)
        try:
            inspect.signature(factory).bind(**spec.options)
        except TypeError as error:
            return [Problem("options", f"{rest} does not take these options: {error}")]
        except ValueError:
            pass  # some builtins have no signature
        return []

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return that nothing is added to the network, and the file that makes it."""
        file = find_module(rest.partition(":")[0], self.permission, root)
        return Description(None, Preprocessing(), ran=() if file is None else (file,))

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return what the factory makes, as a frozen copy: the module may be in use elsewhere.

        Raises:
            BadInput: when the factory raises or exits, or makes anything but a network.
        """
        factory, where = self._factory(rest, root)
        try:
            made = factory(**spec.options)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a factory may do anything
            raise _problem(f"{rest} in {where} failed: {told(error)}") from error
        if isinstance(made, Model) or not isinstance(made, nn.Module):
            what = f"the class {made.__name__}" if isinstance(made, type) else type(made).__name__
            raise _problem(f"{rest} in {where} returned {what}, expected a bare nn.Module")
        try:
            return frozen_copy(made)
        except Exception as error:
            what = f"the network that {rest} in {where} makes cannot be copied"
            raise _problem(f"{what}: {told(error)}") from error

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the files of the spec that are not there."""
        paths = (root / expanded(name) for name in spec.files)
        where = spec.fetch or ""
        return [Missing(where, path, direct=False) for path in paths if not path.is_file()]

    def offers(self) -> list[Offer]:
        """Return the form."""
        what = "your own factory, called with the model's options; returns an nn.Module"
        return [Offer(self.form, what)]

    def _factory(self, rest: str, root: Path) -> tuple[Callable[..., object], str]:
        """Return the factory, and the file or package that it is looked for in."""
        found = find_factory(rest, self.permission, root)
        name, where = found.name, found.where
        if isinstance(found.function, nn.Module):
            raise _problem(f"{name!r} in {where} is a network; name a function that returns it")
        defined = found.definition(self.permission)
        if isinstance(defined, type) and not issubclass(defined, nn.Module):
            raise _problem(f"{name!r} in {where} is a class, but not of networks (nn.Module)")
        return found.function, where


def _problem(what: str) -> BadInput:
    return BadInput(Problem("source", what))
