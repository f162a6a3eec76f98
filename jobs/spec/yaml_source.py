"""Reading job files."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from gauntlet.jobs.spec.document import Document, Where, dotted
from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem

LARGEST_FILE = 1 << 20
"""Bytes; a job is written by a person."""
LARGEST_JOB = 50_000
"""Keys and values, also after all aliases are written out: these grow without bound."""
DEEPEST = 50
"""Mappings and lists inside each other."""
LONGEST_TEXT = 4096
"""Letters of one value; an alias can repeat it in many places, and messages repeat it again."""

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read(path: Path) -> Document:
    """Read a job file: YAML 1.2 scalars, no tags, no duplicate keys.

    Anchors, aliases and ``<<`` merges work. ``1e-3`` is a number, ``8/255`` and ``yes`` are text.

    Raises:
        BadInput: with the line and column of what cannot be read, or of every duplicate key.
    """
    name = str(path)
    if what := obstacle(path):
        raise BadInput(Problem(name, f"cannot read the job file: {what}"))
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInput(Problem(name, f"cannot read the job file: {error.strerror}")) from None
    if len(content) > LARGEST_FILE:
        raise BadInput(Problem(name, f"larger than {LARGEST_FILE:,} bytes: not a job file"))
    try:
        return parse(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(Problem(f"{name}:{line}", "not UTF-8 text: not a job file")) from None


def parse(text: str, name: str) -> Document:
    """Read a job from text; ``name`` stands for the file in messages.

    Raises:
        BadInput: as `read`.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            raise BadInput(Problem(name, "the file is empty; expected `key: value` lines"))
        builder = _Builder(name)
        data = builder.build(node, ())
    except yaml.MarkedYAMLError as error:
        raise BadInput(_syntax(error, name)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(
            Problem(f"{name}:{line}", f"character {error.character!r} is not allowed in YAML")
        ) from None
    except _Unlike as error:
        raise BadInput(Problem(name, str(error))) from None
    except RecursionError:  # mappings that merge mappings that merge ...
        raise BadInput(Problem(name, "nested too deeply to be a job file")) from None
    if builder.problems:
        raise BadInput(builder.problems)
    if not isinstance(data, dict):
        raise BadInput(Problem(f"{name}:1", "expected `key: value` lines at the top"))
    return Document(name, data, builder.lines)


def parse_value(text: str) -> Any:
    """Read one value as a job file would; used by ``--set``.

    Raises:
        BadInput: when it is not YAML.
    """
    return parse(f"value: {text}", "").data["value"]


def _syntax(error: yaml.MarkedYAMLError, name: str) -> Problem:
    what = error.problem or error.context or "not valid YAML"
    if "'\\t'" in what:
        what = "a tab cannot indent YAML; use spaces"
    elif "mapping values are not allowed" in what:
        what = "unexpected ':'; check the indentation, or put the text in quotes"
    elif "single document" in str(error.context):
        what = "more than one document (`---`); a job file holds one"
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return Problem(where, what)


class _Unlike(Exception):
    """The message says why no job file can be like this."""


class _Loader(yaml.SafeLoader):
    """Reads nodes up to the number and depth that a job can have."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._count = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._count += 1
        _refuse_more(self._count)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Unlike("nested too deeply to be a job file")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _refuse_more(count: int) -> None:
    if count > LARGEST_JOB:
        raise _Unlike(f"more than {LARGEST_JOB:,} values: not a job file")


class _Builder:
    """Turns YAML nodes into plain data, noting lines and collecting problems."""

    def __init__(self, name: str) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[Where, int] = {}
        self._name = name
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, where: Where) -> Any:
        self._count += 1
        _refuse_more(self._count)
        if len(where) > DEEPEST:
            raise _Unlike("nested too deeply to be a job file")
        self.lines.setdefault(where, node.start_mark.line + 1)
        if id(node) in self._open:
            self._complain(node, where, "an alias refers to what contains it")
            return None
        self._open.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return self._mapping(node, where)
                case yaml.SequenceNode():
                    self._tag(node, where, "seq")
                    return [self.build(item, (*where, i)) for i, item in enumerate(node.value)]
                case yaml.ScalarNode():
                    return self._scalar(node, where)
            raise AssertionError(f"YAML has no {type(node).__name__}")
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._fill(found, node, where)
        return found

    def _fill(self, found: dict[str, Any], node: yaml.MappingNode, where: Where) -> None:
        """Build the entries of a mapping, and then of those that it merges, where not there yet.

        The keys already there win, and so do their lines.
        """
        self._tag(node, where, "map")
        first: dict[str, int] = {}
        merges: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(key_node, where, "a key must be plain text")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                merges.append(value_node)
            elif what := _no_text(key):
                self._complain(key_node, where, what)
            elif key in first:
                self._complain(
                    key_node, (*where, key), f"given twice; the first is in line {first[key]}"
                )
            else:
                first[key] = line
                if key not in found:
                    self.lines[(*where, key)] = line
                    found[key] = self.build(value_node, (*where, key))
        for merge in merges:
            self._merge(merge, where, found)

    def _merge(self, node: yaml.Node, where: Where, found: dict[str, Any]) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            self._count += 1
            _refuse_more(self._count)
            if not isinstance(source, yaml.MappingNode):
                self._complain(source, where, "`<<` merges mappings only")
            elif id(source) in self._open:
                self._complain(source, where, "an alias refers to what contains it")
            else:
                self._open.add(id(source))
                self._fill(found, source, where)
                self._open.remove(id(source))

    def _scalar(self, node: yaml.ScalarNode, where: Where) -> Any:
        text: str = node.value
        if what := _no_text(text):
            self._complain(node, where, what)
            return None
        tag = node.tag.removeprefix(_TAG)
        if node.style is not None:
            self._tag(node, where, "str")
            return text
        if tag not in _PLAIN:
            self._tag(node, where, "str")
            return text
        if _NULL.fullmatch(text):
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text) and len(text) < 100:
            return int(text)
        if _ENDLESS.fullmatch(text) or (_FLOAT.fullmatch(text) and math.isinf(float(text))):
            self._complain(node, where, f"expected a finite number, got {text}")
            return 0.0
        return float(text) if _FLOAT.fullmatch(text) else text

    def _tag(self, node: yaml.Node, where: Where, kind: str) -> None:
        if node.tag != _TAG + kind:
            shown = node.tag.replace(_TAG, "!!")
            self._complain(node, where, f"tags such as {shown} are not allowed")

    def _complain(self, node: yaml.Node, where: Where, what: str) -> None:
        place = f"{self._name}:{node.start_mark.line + 1}"
        self.problems.append(Problem(f"{place}: {dotted(where)}" if where else place, what))


def _no_text(text: str) -> str | None:
    """Return why a key or value is none that any file, name or number could have."""
    if len(text) > LONGEST_TEXT:
        return f"{len(text):,} letters; at most {LONGEST_TEXT:,} are allowed"
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"{text!r:.60} holds a character that is no text"
    return None


_PLAIN = {"str", "int", "float", "bool", "null", "timestamp", "merge", "value"}
"""What PyYAML makes of plain scalars by YAML 1.1; read again here by YAML 1.2."""
