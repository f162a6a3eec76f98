"""Folders of files that make one network: on disk, or in Hugging Face's cache."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.pipeline.files import expanded, obstacle
from gauntlet.pipeline.models.file_format import identify
from gauntlet.pipeline.models.sources.download import fetch_hub, hub_problems, missing_hub
from gauntlet.pipeline.models.sources.source import Missing
from gauntlet.pipeline.problems import BadInput, Problem

_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Repository:
    """Where a source's files are.

    Attributes:
        source: as the job writes it.
        name: ``owner/name`` or ``owner/name@revision`` on Hugging Face; "" for a folder on disk.
        folder: the folder on disk.
    """

    source: str
    name: str
    folder: Path

    @staticmethod
    def of(source: str, rest: str, root: Path) -> Repository:
        """Return the repository that the text of a source means: a folder first, then a name.

        Raises:
            BadInput: when it is neither.
        """
        folder = root / expanded(rest)
        if folder.is_dir():
            return Repository(source, "", folder)
        if rest.startswith((".", "/", "~")) or not _NAME.fullmatch(rest):
            what = f"no folder {folder}; expected one, or owner/name on Hugging Face, got {rest!r}"
            raise BadInput(Problem("source", what))
        return Repository(source, rest, folder)

    def file(self, name: str) -> Path:
        """Return a file, downloading it if it is on Hugging Face and not in the cache.

        Raises:
            BadInput: when there is none, and how to get it.
        """
        if self.name:
            return fetch_hub(self.source, self.name, (name,))
        path = self.folder / name
        if (what := obstacle(path)) is not None:
            raise BadInput(Problem("source", f"{path}: {what}{self._pickled(name)}"))
        return path

    def weights_problems(self, name: str) -> list[Problem]:
        """Return what is wrong with weights, which need not be here if they can be downloaded."""
        if self.name:
            return hub_problems(self.source, self.name, (name,))
        try:
            if (kind := identify(self.file(name))) != "safetensors":
                raise BadInput(Problem(str(self.folder / name), f"a {kind}; expected safetensors"))
        except BadInput as error:
            return [Problem("source", f"{problem}") for problem in error.problems]
        return []

    def missing(self, *names: str) -> list[Missing]:
        """Return the files that are not here yet; a folder on disk is the person's own."""
        if not self.name:
            return []
        return [one for name in names for one in missing_hub(self.name, (name,))]

    def settings(self, name: str) -> dict[str, Any]:
        """Return what a JSON file says.

        Raises:
            BadInput: as `file`, and when it is no mapping.
        """
        path = self.file(name)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadInput(Problem("source", f"{path}: not JSON: {error}")) from None
        if not isinstance(found, dict):
            raise BadInput(Problem("source", f"{path}: expected a mapping"))
        return found

    def _pickled(self, name: str) -> str:
        """Return a remark for a folder whose weights are there as a pickle only."""
        pickles = sorted(self.folder.glob("*.bin")) if name.endswith(".safetensors") else []
        if not pickles:
            return ""
        return (
            f"; {pickles[0].name} is a pickle, which is not read here: save the model again with "
            "save_pretrained, which writes safetensors"
        )
