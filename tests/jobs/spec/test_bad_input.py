"""Every wrong job gives one message a mistake: file, line, field, what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys.jobs import JOB, attacks, problems, write

TARGET = '{name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}'
TASK = "task: {kind: classification, goal: untargeted}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seed: 0", "sed: 0", "job.yaml:5: surrogates[0].options: "),
        ("resources:", "resorces:", "job.yaml:11: resorces: unknown key 'resorces'; did you mean "
         "'resources' "),
        ("batch: 4", "bacth: 4", "job.yaml:11: resources.bacth: unknown key 'bacth'; did you mean "
         "'batch'?"),
        ("batch: 4", "batch: four", "job.yaml:11: resources.batch: expected a whole number, got "
         "'four'"),
        ("batch: 4", "batch: true", "job.yaml:11: resources.batch: expected a number, got true"),
        ("batch: 4", "batch: 0", "job.yaml:11: resources.batch: expected at least 1, got 0"),
        ("batch: 4", "workers: 1.5", "job.yaml:11: resources.workers: expected a whole number or "
         "'auto', got 1.5"),
        ("batch: 4", "hub_gpus: -0.5", "job.yaml:11: resources.hub_gpus: expected at least 0 or "
         "'auto', got -0.5"),
        ("batch: 4", "hub_gpus: 2", "job.yaml:11: resources.hub_gpus: expected at most 1 or "
         "'auto', got 2"),
        ("batch: 4", "hub_gpus: half", "job.yaml:11: resources.hub_gpus: expected a number or "
         "'auto', got 'half'"),
        ("batch: 4", "hub_gpus: 0.5", "job.yaml:11: resources: hub_gpus would have no effect with "
         "placement 'in-process'"),
        ("in-process", "cluster", "job.yaml:11: resources.placement: expected 'auto', 'in-process',"
         " 'packed' or 'pinned', got 'cluster'"),
        ("{placement: in-process, batch: 4}", "packed", "job.yaml:11: resources: expected a mapping"
         " (`key: value` lines), got 'packed'"),
        ("name: tiny\n", "", "job.yaml:1: `name` is missing; expected: Names the run"),
        ("name: tiny", "name: 7", "job.yaml:1: name: expected text, got 7 (put it in quotes)"),
        ("name: tiny", "name: a/b", "job.yaml:1: name: expected a name of letters"),
        ("goal: untargeted", "gaol: untargeted", "job.yaml:2: task.g"),
        ("goal: untargeted", "goal: dodging", "job.yaml:2: task.goal: 'dodging' is no goal of "
         "classification; expected 'untargeted' or 'targeted'"),
        ("kind: classification", "kind: detection", "job.yaml:2: task.kind: expected "
         "'classification', 'verification' or 'embedding', got 'detection'"),
        ("source: npz", "source: nzp", "job.yaml:3: data.source: unknown source 'nzp'; did you mean"
         " 'npz'"),
        ("source: npz, ", "", "job.yaml:3: data: `source` is missing; expected one of "),
        ("path: images.npz", "paht: images.npz", "job.yaml:3: data.pa"),
        ("path: images.npz", "path: nothing.npz", "job.yaml:3: data.path: "),
        ("data:", "root: nowhere\ndata:", "job.yaml:3: root: no folder "),
        ("data:", "select: {correct: [s0, t1]}\ndata:", "job.yaml:3: select.correct[1]: unknown "
         "model 't1'; did you mean 't0'"),
        ("data:", "select: {correct: surogates}\ndata:", "job.yaml:3: select.correct[0]: unknown "
         "model 'surogates'; did you mean 'surrogates'? known: surrogates, targets, all, s0"),
        ("data:", "select: {correct: 5}\ndata:", "job.yaml:3: select.correct: expected text or "
         "'surrogates', 'targets' or 'all', got 5"),
        ("data:", "select: {correct: []}\ndata:", "job.yaml:3: select.correct: expected names"),
        (TARGET, "7", "job.yaml:8: targets[0]: expected a source such as 'timm/resnet18'"),
        (TARGET, "timm/resnet18x", "job.yaml:8: targets[0]: unknown timm model"),
        (TARGET, "{name: t0}", "job.yaml:8: targets[0]: a model needs a `source`"),
        (TARGET, "{like: s7}", "job.yaml:8: targets[0].like: unknown model 's7'"),
        (TARGET, "{like: s0, defence: jpg}", "job.yaml:8: targets[0].defence: unknown "
         "kind 'jpg'; did you mean 'jpeg'"),
        (TARGET, "{like: s0, defence: {bits: 3}}", "job.yaml:8: targets[0].defence: `kind` "
         "is missing; expected one of bit-reduction, jpeg, resize-pad"),
        (TARGET, "{like: s0, defence: {kind: [jpeg]}}", "job.yaml:8: targets[0].defence.kind: "
         "expected one of bit-reduction, jpeg, resize-pad, got ['jpeg']"),
        (TARGET, "{like: s0, defence: {kind: null}}", "job.yaml:8: targets[0].defence.kind: "
         "expected one of bit-reduction, jpeg, resize-pad, got nothing"),
        (TARGET, "{like: s0, defence: {kind: jpeg, quality: 101}}",
         "job.yaml:8: targets[0].defence.quality: expected at most 100, got 101"),
        (TARGET, "{like: s0, defence: {kind: jpeg, bits: 3}}", "job.yaml:8: targets[0].defence."
         "bits: jpeg does not use `bits`; known: gradient, kind, quality"),
        (TARGET, "{like: s0}", "job.yaml:8: targets[0]: 's0-2' is the same model as the surrogate "
         "'s0'; add `white_box: true`"),
        ("seed: 2}}", "seed: 2}, white_box: true}", "job.yaml:8: targets[0].white_box: 't0' has the"
         " weights of no surrogate"),
        ("name: t0", "name: s0", "job.yaml:8: targets[0].name: another model is called 's0' (line "
         "5)"),
        ("seed: 0}", "seed: 0}, group: x", "job.yaml:5: surrogates[0].group: `group` belongs to "
         "targets"),
        ("seed: 2}", "seed: 2}, mirror: true", "job.yaml:8: targets[0].mirror: "),
        ("seed: 2}", "seed: 2}, threshold: 0.3", "job.yaml:8: targets[0].threshold: `threshold` "
         "belongs to verification"),
        ("seed: 2}", "seed: 2}, mean: [0.5, 0.5]", "job.yaml:8: targets[0].mean[2]: the list is too"
         " short"),
        ("jobs:network\", options: {seed: 2}", "jobs:netwrok\", options: {seed: 2}", "job.yaml:8: "
         "targets[0].source: "),
        ("base: i", "base: di-tj", "job.yaml:10: attacks[0].base: unknown attack part 'tj'; did you"
         " mean 'ti'"),
        ("base: i", "combine: rega", "job.yaml:10: attacks[0].combine: unknown combination rule "
         "'rega'; did you mean 'rgea'"),
        ("base: i", "combine: torchjd/upgrade", "job.yaml:10: attacks[0].combine: unknown "
         "aggregator 'upgrade'; did you mean 'UPGrad'"),
        ("base: i", "bse: i", "job.yaml:10: attacks[0].bse: unknown key 'bse'; did you mean "
         "'base'"),
        ("steps: 2", "steps: 2.5", "job.yaml:10: attacks[0].steps: expected a whole number, got "
         "2.5"),
        ("8/255", "eight", "job.yaml:10: attacks[0].epsilon: expected a number or an expression "
         "such as '8/255', got 'eight'"),
        ("steps: 2", "objective: cosine", "job.yaml:10: attacks[0].objective: the objective "
         "'cosine' does not exist for classification"),
        ("steps: 2", "surrogates: [s0, s2]", "job.yaml:10: attacks[0].surrogates[1]: unknown "
         "surrogate 's2'; did you mean 's1' or 's0'"),
        ("steps: 2", "surrogates: [s0, s0]", "job.yaml:10: attacks[0].surrogates[1]: 's0' is named "
         "twice"),
        ("steps: 2", "options: {di: {p: 0.5}}", "job.yaml:10: attacks[0].options.di: options for "
         "'di', which the attack 'i' with 'ens' does not use; those with options here: ens, i"),
        ("steps: 2", "options: 3", "job.yaml:10: attacks[0].options: expected a mapping, got 3"),
        ("base: i", "base: di, options: {di: {q: 0.5}}", "job.yaml:10: attacks[0].options.di.q: "
         "unknown key 'q'"),
        ("base: i", "base: di, options: {di: {p: 1.5}}", "job.yaml:10: attacks[0].options.di.p: "
         "expected at most 1, got 1.5"),
        ("steps: 2", "epsilon_unit: abs", "job.yaml:10: attacks[0].epsilon_unit: epsilon_unit "
         "belongs to the l2 norm"),
        ("  - {base: i, epsilon: 8/255, steps: 2}", "  - mi", "job.yaml:10: attacks[0]: expected a "
         "mapping"),
        ("resources:", "seed: -1\nresources:", "job.yaml:11: seed: expected at least 0, got -1"),
        ("resources:", "evaluate: {quantise: true}\nresources:", "job.yaml:11: evaluate.quantise: "
         "unknown key 'quantise'; did you mean 'quantize'"),
    ],
)  # fmt: skip
def test_message(tmp_path: Path, old: str, new: str, expected: str) -> None:
    found = problems(tmp_path, (old, new))
    assert [message for message in found if message.startswith(expected)], found
    # A misspelt required key is two facts: one is unknown, one is missing.
    assert len(found) == (2 if new in ("gaol: untargeted", "paht: images.npz") else 1), found


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        ("goal: untargeted", "goal: dodging"),
        ("seed: 0}}", "seed: 0}, sorce: x}"),
        (TARGET, "[]"),
        attacks("  - {base: zi}\n  - {combine: enss, steps: x}"),
        ("batch: 4", "batch: 0, fold: perhaps"),
    )
    fields = [message.split(": ")[1] for message in found]
    assert fields == [
        "task.goal",
        "surrogates[0].sorce",
        "targets[0]",
        "attacks[0].base",
        "attacks[1].combine",
        "attacks[1].steps",
        "resources.batch",
        "resources.fold",
    ]


def test_a_wrong_task_does_not_hide_a_missing_checkpoint(tmp_path: Path) -> None:
    entry = '{source: "file:w.safetensors", architecture: cifar-resnet-20}'
    found = problems(tmp_path, ("kind: classification", "kind: detection"), (TARGET, entry))
    fields = [message.split(": ")[1] for message in found]
    assert fields == ["task.kind", "targets[0].source"]


def test_fusion_of_class_outputs_for_faces(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        (TASK, "task: {kind: verification, goal: impersonation}"),
        ("base: i", "combine: ens-logits"),
    )
    expected = "job.yaml:10: attacks[0].combine: 'ens-logits' fuses class outputs"
    assert any(message.startswith(expected) for message in found), found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{}", ""),
    ],
    ids=["missing", "web page", "truncated"],
)
def test_checkpoints(tmp_path: Path, content: bytes | None, expected: str) -> None:
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    entry = '{source: "file:w.safetensors", architecture: cifar-resnet-20}'
    (message,) = problems(tmp_path, (TARGET, entry))
    assert message.startswith("job.yaml:8: targets[0].source: ")
    assert expected in message


def test_checkpoint_of_another_architecture(tmp_path: Path, data_root: Path) -> None:
    entry = '{source: "file:resnet20-cifar10.safetensors", architecture: cifar-resnet-32}'
    (tmp_path / "resnet20-cifar10.safetensors").symlink_to(
        data_root / "resnet20-cifar10.safetensors"
    )
    (message,) = problems(tmp_path, (TARGET, entry))
    assert message.startswith("job.yaml:8: targets[0].source: ")


def test_copied_checkpoint_is_the_same_model(tmp_path: Path, data_root: Path) -> None:
    content = (data_root / "resnet20-cifar10.safetensors").read_bytes()
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    surrogate = '{name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}'
    (message,) = problems(
        tmp_path,
        (surrogate, '{source: "file:a.safetensors", architecture: cifar-resnet-20}'),
        (TARGET, '{source: "file:b.safetensors", architecture: cifar-resnet-20}'),
    )
    assert message.startswith("job.yaml:8: targets[0]: 'b' is the same model as the surrogate 'a'")


def test_pair_list_names_a_missing_image(tmp_path: Path, data_root: Path) -> None:
    pairs = (data_root / "orl-pairs.csv").read_text().splitlines()
    pairs[16] = "4711,3,0"
    (tmp_path / "pairs.csv").write_text("\n".join(pairs))
    (tmp_path / "orl-faces-112.npz").symlink_to(data_root / "orl-faces-112.npz")
    found = problems(
        tmp_path,
        (TASK, "task: {kind: verification, goal: impersonation}"),
        (
            "{source: npz, path: images.npz}",
            "{source: pairs, images: orl-faces-112.npz, pairs: pairs.csv}",
        ),
    )
    (message,) = [text for text in found if "4711" in text]
    assert message.startswith("job.yaml:3: data: ")
    assert "pairs.csv:17" in message


def test_one_mistake_in_a_shared_field_is_one_message(tmp_path: Path) -> None:
    grid = "  grid: {base: [i, mi], combine: [ens, rgea]}\n  epsilon: x\n  step_size: y"
    found = problems(tmp_path, attacks(grid))
    assert [message.split(":")[1] for message in found] == ["11", "12"]


def test_the_job_of_these_tests_is_good(tmp_path: Path) -> None:
    from gauntlet.jobs.spec.loading import load

    assert load(write(tmp_path, text=JOB)).name == "tiny"


def test_a_root_that_is_not_there_says_how_another_is_named(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, ("data:", "root: nowhere\ndata:"))
    assert found.endswith("say where they are with --set root=FOLDER")
