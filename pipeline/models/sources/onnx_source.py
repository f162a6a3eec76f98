"""``onnx:PATH``: networks in ONNX files, as insightface and others publish theirs."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from gauntlet.pipeline.files import expanded, obstacle
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.file_source import other_content
from gauntlet.pipeline.models.sources.onnx_file import described, read_network
from gauntlet.pipeline.models.sources.source import Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem


@register
class OnnxSource(Source):
    """Files of ONNX, converted to torch, so that gradients flow; nothing in them is run.

    A file says the size of its images, not what is done to them before: mean, std and channel order
    are the job's to say. What the network is for is, too.
    """

    form = "onnx:PATH"
    fields = frozenset({"sha256", "fetch"})

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the libraries, the options or the file."""
        path = root / expanded(rest)
        found = [Problem("options", "an onnx: source takes none")] if spec.options else []
        if not obstacle(path) and (wrong := other_content(path, spec.sha256)):
            return [*found, Problem("sha256", wrong)]
        try:
            described(path)
        except BadInput as error:
            found += [
                Problem("source", problem.what if problem.where == "source" else str(problem))
                for problem in error.problems
            ]
        return found

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return the size of the file's input, and that nothing is added to the network."""
        return Description(None, Preprocessing(described(root / expanded(rest))))

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the converted network."""
        return read_network(root / expanded(rest))

    def weights_file(self, rest: str, root: Path) -> Path:
        """Return the file."""
        return root / expanded(rest)

    def offers(self) -> list[Offer]:
        """Return the form."""
        what = "networks in ONNX files, for images (B, 3, H, W); needs the extra `onnx`"
        return [Offer(self.form, what)]
