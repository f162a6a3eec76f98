"""The page of the published face networks, made from their tables."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.pipeline.models.architectures.architecture import Architecture
from gauntlet.pipeline.models.architectures.faces import FACES, PUBLISHERS
from gauntlet.pipeline.models.architectures.published import CHECKPOINTS, Checkpoint

_INTRODUCTION = """\
# Published face networks

Made by `python -m gauntlet.jobs.reference.renew`; do not edit.

A file of weights that people already have is a model without a script:

```yaml
targets:
  - {name: ir152, source: "file:ir152.pth", architecture: advmakeup-ir152}
  - {name: r50, source: "file:backbone.pth"}     # the names and shapes of its weights tell which
```

Weights are loaded strictly, key by key, whatever is around them: a bare state dict, `state_dict`,
`state_dict_backbone`, `model`; `module.`, `backbone.`, `model.`, `net.`, `features.module.` before
the names; a training loop's head beside them. Reading a file runs no code.

What a file does not tell is **channel order, scale and batch norm's eps**, and several publishers
have the same names and shapes. Then `gauntlet check` lists them, and the job names one. Which one
fits, pairs of faces tell:

```
gauntlet models verify file:backbone.pth --data JOB
```

loads it, runs it on the pairs of a job, and gives accuracy and thresholds; the other networks that
the file fits, other channel orders, scales and sizes are tried on the same pairs. `gauntlet check
JOB --probe` asks at most 256 pairs for all models of a job, of other inputs only where a model
tells fewer than 95 % of its first pairs. Grey images, such as ORL's, show nothing of the channel
order, and that is said. A missing file is said with where to get it, and `sha256: 0123abcd` in a
model's entry refuses any other.

Networks that are published as **ONNX** files bring their structure with them:

```yaml
  - {name: w600k, source: "onnx:w600k_r50.onnx", mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
```

They are converted by onnx2torch (`pip install 'gauntlet[onnx]'`), so that gradients flow. The file
says the images' size, the job mean, std and channel order. Refused are operators that ONNX does not
define, graphs inside nodes, weights outside the file's own folder, and 2 GiB or more. The nodes'
names, which torch would write into Python text, are replaced before. How much memory a network
asks for while it runs is bounded for no source.

The accuracies and thresholds below are the publishers' own, on LFW unless said, each by its own
protocol: something to compare with, no result of this project. All faces are aligned by five
points to the usual template of 112 x 112 unless said; the template of 112 x 96 is the same without
8 columns on either side, and `gauntlet data align` makes both. Embeddings have 512 numbers and are
compared by cosine.
"""


def markdown() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for key, publisher in PUBLISHERS.items():
        yield f"## {publisher.title}"
        yield ""
        remark = (
            f" {publisher.remark[0].upper()}{publisher.remark[1:]}." if publisher.remark else ""
        )
        yield f"<https://{publisher.where}>.{remark}"
        yield ""
        yield "| architecture | input | order | (x - mean) / std | file | LFW, % | threshold |"
        yield "|---|---|---|---|---|---|---|"
        for name, known in FACES.items():
            if known.publisher == key:
                yield from _rows(name, known)
        yield ""


def _rows(name: str, known: Architecture) -> Iterator[str]:
    height, width = known.input_size
    size = f"{height} x {width}" + (", cropped" if known.resize == "crop" else "")
    scale = f"({known.mean[0]:.3g}, {known.std[0]:.3g})"
    files = [one for one in CHECKPOINTS if one.architecture == name] or [Checkpoint(name, "")]
    for position, one in enumerate(files):
        first = (f"`{name}`", size, known.channels.upper(), scale) if position == 0 else ("",) * 4
        file = f"`{one.file}`" if one.file else ""
        accuracy = "" if one.lfw is None else f"{one.lfw:.2f}"
        yield "| " + " | ".join((*first, file, accuracy, _thresholds(one))) + " |"


def _thresholds(one: Checkpoint) -> str:
    if one.threshold is not None:
        return f"{one.threshold:g}"
    return ", ".join(f"{cosine:.4f} (false accepts {rate:g})" for rate, cosine in one.far)
