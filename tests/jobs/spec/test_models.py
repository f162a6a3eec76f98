from __future__ import annotations

from pathlib import Path

from gauntlet.pipeline.models.defences.jpeg import Jpeg
from tests.toys.jobs import plan, problems

TARGET = '{name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}'


def test_names_come_from_sources_and_are_unique(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        (
            f"  - {TARGET}",
            "  - timm/resnet10t.c3_in1k\n"
            "  - {source: timm/resnet10t.c3_in1k, options: {pretrained: false}}\n"
            '  - {source: "import:tests.toys.jobs:network", options: {seed: 5}}',
        ),
    )
    assert [spec.name for spec in found.targets] == [
        "resnet10t.c3_in1k",
        "resnet10t.c3_in1k-2",
        "network",
    ]


def test_like_takes_everything_but_the_role(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        (
            TARGET,
            '{name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}, group: g, '
            "input_size: [8, 8], repeats: 2}\n"
            "  - {like: t0, defence: jpeg}\n"
            "  - {like: t0-jpeg, defence: {kind: jpeg, quality: 50}}\n"
            "  - {like: t0-jpeg, defence: bit-reduction, name: bits, group: h}\n"
            "  - {like: s0, white_box: true}",
        ),
    )
    jpeg, worse, bits, white = found.targets[1:]
    assert [spec.name for spec in found.targets] == [
        "t0",
        "t0-jpeg",
        "t0-jpeg-jpeg",
        "bits",
        "s0-white-box",
    ]
    assert jpeg.options == {"seed": 2}
    assert jpeg.input_size == (8, 8)
    assert jpeg.group is None
    assert jpeg.repeats is None
    assert isinstance(jpeg.defence, Jpeg)
    assert jpeg.defence.quality == 75
    assert isinstance(worse.defence, Jpeg)
    assert worse.defence.quality == 50
    assert bits.defence is not None
    assert (bits.defence.kind, bits.group) == ("bit-reduction", "h")
    assert white.white_box
    assert white.options == {"seed": 0}


def test_mistakes_in_what_is_inherited_are_reported_where_they_stand(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        (TARGET, TARGET.replace("}}", "}, resize: cubic}") + "\n  - {like: t0, defence: jpeg}"),
    )
    (message,) = found
    assert message.startswith("job.yaml:8: targets[0].resize: expected 'bilinear', 'bicubic'")


def test_circles_of_like(tmp_path: Path) -> None:
    text = "{like: b, name: a}\n  - {like: a, name: b}"
    found = problems(tmp_path, (TARGET, text))
    assert any("'b' is derived from itself" in message or "'a' is" in message for message in found)


def test_a_surrogate_behind_a_defence_is_another_target(tmp_path: Path) -> None:
    found = plan(tmp_path, (TARGET, "{like: s0, defence: resize-pad}"))
    assert not found.targets[0].white_box
    assert found.targets[0].name == "s0-resize-pad"


def test_means_of_other_models_are_other_models(tmp_path: Path) -> None:
    def mean(*names: str) -> str:
        members = ", ".join(f"{{name: {name}, source: quickstart/{name}}}" for name in names)
        return f"{{source: 'mean:logits', members: [{members}]}}"

    surrogate = '{name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}'
    first = (surrogate, mean("plain", "wide").replace("{source", "{name: s0, source"))
    (message,) = problems(tmp_path, first, (TARGET, mean("plain", "wide")))
    assert "is the same model as the surrogate 's0'" in message
    assert plan(tmp_path, first, (TARGET, mean("plain", "patches"))).targets[0].members
