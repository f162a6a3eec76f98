"""`gauntlet surrogates`: from a job to a trained surrogate that another job names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli import train_surrogates as commands
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cli.train_surrogates import Wanted
from gauntlet.jobs.cli.trained_copy import usage
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline.models import architectures
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.heads import image_hashes
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.spec import Spec
from gauntlet.pipeline.training.settings import AlignSettings, HardenSettings, SearchSettings
from gauntlet.pipeline.training.trained_file import about_trained
from tests.toys.classifiers import Residual, colours, examples, model

JOB = """\
name: trained
task: {kind: classification, goal: untargeted}
data: {source: npz, path: images.npz, limit: 10}
surrogates:
  - {name: s0, source: "import:tests.jobs.cli.test_train_surrogates:trained"}
  - {name: s1, source: "import:tests.jobs.cli.test_train_surrogates:trained", options: {scale: 2.0}}
targets:
  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}
attacks:
  - {base: i, epsilon: 8/255, steps: 2}
resources: {placement: in-process, batch: 4}
"""
HARD = {"epsilon": "6/255", "epochs": 16, "batch": 24, "rate": "0.02", "validation": 0.3}
ALIGN = {"epochs": 2, "batch": 24, "judge_steps": 2, "validation": 0.3}


def trained(scale: float = 1.0) -> nn.Module:
    """The small classifier, its last layer times a factor."""
    made = model().network
    assert isinstance(made, Residual)
    with torch.no_grad():
        made.linear.weight *= scale
    return made


def write(folder: Path, *changes: tuple[str, str], name: str = "job.yaml") -> str:
    text = JOB
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    examples(folder)
    path = folder / name
    path.write_text(text)
    return str(path)


def request(folder: Path, *changes: tuple[str, str], **given: Any) -> Wanted:
    fields: dict[str, Any] = {"surrogate": "s0", "out": folder / "out.safetensors", "changes": []}
    fields |= {"images": None, "limit": 5000}
    return Wanted(**{**fields, "job": write(folder, *changes), **given})


def printed_model(output: str) -> ModelSpec:
    """The entry that a command printed for the job's list of models."""
    (line,) = [line for line in output.splitlines() if line.startswith("  - {")]
    (fields,) = yaml.safe_load(line)
    return ModelSpec.model_validate(fields)


def test_a_hardened_surrogate_of_an_own_factory_becomes_a_model_of_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = request(tmp_path, surrogate="s1")
    assert commands.harden_surrogate(asked, HARD) == 0
    output = capsys.readouterr().out
    assert "161 images to train on, 69 to judge by" in output
    assert output.count("epoch ") == 16
    about = about_trained(asked.out)
    before, after = about["accuracy"]["before"], about["accuracy"]["after"]
    assert after["robust"] > before["robust"]
    assert (
        f"robust accuracy at linf 6/255: {before['robust']:.4f} -> {after['robust']:.4f}" in output
    )
    assert about["original"]["name"] == "s1"
    assert about["settings"]["epsilon"] == 6 / 255
    # None of the job's images was seen.
    images, _ = colours()
    attacked = {f"{value % 2**64:016x}" for value in image_hashes(images[:10]).tolist()}
    seen = about["training"]["contents"] + about["held_out"]["contents"]
    assert len(seen) == len(set(seen)) == 230
    assert not attacked & set(seen)
    # What was printed is a model of a job, with these weights.
    use = printed_model(output)
    assert use.name == "s1-hardened"
    assert use.adversarial
    assert load(asked.job).surrogates[1].adversarial is None
    original = build(load(asked.job).surrogates[1], permission=granted())
    again = build(use, permission=granted())
    assert again.weights_fingerprint != original.weights_fingerprint
    assert {name for name, _ in again.network.named_parameters()} == {
        name for name, _ in original.network.named_parameters()
    }
    listed = yaml.safe_load(Path(asked.job).read_text())
    listed["surrogates"].append(use.model_dump(mode="json", exclude_defaults=True))
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(listed))
    assert load(other).surrogates[2] == use
    # A trained one can be trained again.
    more = Wanted(str(other), "s1-hardened", tmp_path / "more.safetensors", [], None, 5000)
    assert commands.harden_surrogate(more, {**HARD, "epochs": 1, "rate": 1e-9}) == 1
    assert printed_model(capsys.readouterr().out).source == f"trained:{more.out}"


def test_a_file_source_keeps_its_architecture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gauntlet.pipeline.batch import Task
    from gauntlet.pipeline.training.trained_file import write_trained

    own = architectures.Architecture(Residual, Task.CLASSIFICATION, (8, 8), (0.4,) * 3, (0.5,) * 3)
    monkeypatch.setitem(architectures.ARCHITECTURES, "small", own)
    write_trained(tmp_path / "net.safetensors", trained(), {})
    change = ('{name: s0, source: "import:tests.jobs.cli.test_train_surrogates:trained"}',
              '{name: s0, source: "file:net.safetensors", architecture: small}')  # fmt: skip
    asked = request(tmp_path, change)
    commands.align_surrogate(asked, ALIGN)
    use = printed_model(capsys.readouterr().out)
    assert use.source == f"file:{asked.out}"
    assert use.architecture == "small"
    assert use.mean is None  # the architecture knows
    assert build(use).input_size == (8, 8)
    assert about_trained(asked.out)["original"]["architecture"] == "small"


def test_no_gain_in_robustness_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = request(tmp_path)
    assert commands.harden_surrogate(asked, {**HARD, "epochs": 1, "rate": "1e-9"}) == 1
    assert "robust accuracy did not rise above the original's" in capsys.readouterr().out
    # The file is there all the same, and says so.
    accuracy = about_trained(asked.out)["accuracy"]
    assert accuracy["after"]["robust"] <= accuracy["before"]["robust"]


def test_alignment_and_its_price_are_printed_and_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = request(tmp_path)
    given = {"weight": "3", "rate": "0.01", "drop": 1, "epochs": 10, "beta": 5, "judge_probes": 16}
    assert commands.align_surrogate(asked, {**ALIGN, **given}) == 0
    about = about_trained(asked.out)
    assert about["alignment"]["after"] > about["alignment"]["before"]
    assert f"alignment: {about['alignment']['before']:.4g} -> " in capsys.readouterr().out
    assert commands.align_surrogate(asked, {**ALIGN, "rate": 1e-12, "epochs": 1}) == 1
    assert "the alignment did not rise" in capsys.readouterr().out


def test_ia_search_writes_what_ia_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = request(tmp_path, out=tmp_path / "ia.json", limit=20)
    assert commands.search_surrogate(asked, {"trials": 6, "probes": 1, "drop": 0.5}) == 0
    found = json.loads(asked.out.read_text())
    assert found["provenance"]["images"] == 20
    assert (
        found["provenance"]["weights"]
        == build(load(asked.job).surrogates[0], permission=granted()).weights_fingerprint
    )
    assert len(found["lambdas"]) == 1
    output = capsys.readouterr().out
    assert "20 images, 6 settings" in output
    assert f"options: {{ia: {{search: {asked.out}}}}}" in output
    attack = f"{{base: ia, surrogates: [s0], options: {{ia: {{search: {asked.out}}}}}}}"
    load(write(tmp_path, ("{base: i, epsilon: 8/255, steps: 2}", attack)))
    own, other = ("cli.test_train_surrogates:trained", "spec.checks.test_networks:by_value")
    branching = request(tmp_path, (f'{own}"}}', f'{other}"}}'))
    with pytest.raises(BadInput, match="s0: Branching cannot be rewritten"):
        commands.search_surrogate(branching, {"trials": 1})


def test_which_images_are_used(tmp_path: Path) -> None:
    brief = {**HARD, "epochs": 1}
    asked = request(tmp_path, limit=30)
    commands.harden_surrogate(asked, brief)
    about = about_trained(asked.out)
    assert about["training"]["count"] + about["held_out"]["count"] == 30
    # Attacked by an `ids` file: those are left out, the others used.
    (tmp_path / "chosen.csv").write_text("index\n" + "\n".join(map(str, range(20, 240))) + "\n")
    asked = request(tmp_path, (", limit: 10", ", ids: chosen.csv"))
    commands.harden_surrogate(asked, brief)
    about = about_trained(asked.out)
    assert about["training"]["count"] + about["held_out"]["count"] == 20
    # All are attacked: there is nothing to train on, under whatever name.
    with pytest.raises(BadInput, match="0 of 240 images are not attacked"):
        commands.harden_surrogate(request(tmp_path, (", limit: 10", "")), brief)
    other = tmp_path / "other"
    other.mkdir()
    same = write(other, (", limit: 10", ", limit: 50"))
    asked = request(tmp_path, images=same)
    commands.harden_surrogate(asked, brief)
    about = about_trained(asked.out)
    assert about["training"]["count"] + about["held_out"]["count"] == 40


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({"surrogate": "s9"}, {}, "--surrogate: unknown surrogate 's9'"),
        ({"surrogate": "t0"}, {}, "--surrogate: unknown surrogate 't0'"),
        ({}, {"epsilon": "0"}, "--epsilon: "),
        ({}, {"epsilon": "much"}, "--epsilon: "),
        ({}, {"batch_norm": "thawed"}, "--batch-norm: "),
        ({}, {"norm": "l1", "step_size": "x"}, "--step-size: "),
        ({"out": Path("/proc")}, {}, "--out: /proc is a folder"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, given: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        commands.harden_surrogate(request(tmp_path, **given), options)
    assert not (tmp_path / "out.safetensors").exists()


def test_models_that_have_no_file_of_their_own_are_refused_at_once(tmp_path: Path) -> None:
    defended = request(tmp_path, ("{name: s0, ", "{name: s0, defence: jpeg, "))
    with pytest.raises(BadInput, match="'s0' stands behind a defence"):
        commands.harden_surrogate(defended, HARD)
    clash = request(tmp_path, ("{scale: 2.0}", "{source: x}"),
                    (":trained\", options", ":named\", options"),
                    surrogate="s1")  # fmt: skip
    with pytest.raises(BadInput, match="'s1' has the option 'source'"):
        commands.harden_surrogate(clash, HARD)
    changing = request(tmp_path, ('trained"}', 'changing"}'))
    with pytest.raises(BadInput, match="answers otherwise"):
        commands.harden_surrogate(changing, HARD)


def named(source: str) -> nn.Module:
    return trained()


_CHANGES = iter(range(1, 100))


def changing() -> nn.Module:
    """A network with something that is no weight, and other each time."""

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.shift = trained(), float(next(_CHANGES))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.inner(images) + self.shift
            return outputs

    return Shifted()


def test_torchvision_networks_come_back_without_a_download(tmp_path: Path) -> None:
    spec = ModelSpec(name="r", source="torchvision/resnet18", options={"pretrained": False})
    made = build(spec)
    use = usage(spec, made, tmp_path / "r.safetensors", "x")
    from gauntlet.pipeline.training.trained_file import write_trained

    write_trained(tmp_path / "r.safetensors", made.network, {})
    again = build(use)
    assert again.weights_fingerprint == made.weights_fingerprint
    assert again.preprocessing == made.preprocessing


def test_the_command_line(tmp_path: Path) -> None:
    def gauntlet(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["surrogates", *arguments], env={"COLUMNS": "120"})

    for verb, words in {
        "harden": ("--epsilon", "--batch-norm", "--flips", "--images", "--limit", "--set"),
        "align": ("--weight", "--beta", "--drop", "--images"),
        "ia-search": ("--trials", "--probes", "--drop", "--limit"),
    }.items():
        text = gauntlet(verb, "--help").output
        for word in (*words, "Exit status", f"gauntlet surrogates {verb} job.yaml"):
            assert word in text, (verb, word)
    job = write(tmp_path)
    out = str(tmp_path / "hard.safetensors")
    done = gauntlet("harden", job, "--surrogate", "s0", "--out", out, "--epsilon", "6/255",
                    "--epochs", "1", "--rate", "1e-9", "--no-flips", "--set",
                    "data.limit=20")  # fmt: skip
    assert done.exit_code == 1, done.output
    about = about_trained(Path(out))
    assert about["settings"]["flips"] is False
    assert about["settings"]["epsilon"] == 6 / 255
    assert about["training"]["count"] + about["held_out"]["count"] == 220
    wrong = gauntlet("align", job, "--surrogate", "s0", "--out", out, "--optimiser", "adam")
    assert wrong.exit_code == 2
    assert "--optimiser" in wrong.output
    searched = gauntlet("ia-search", job, "--surrogate", "s0", "--out", str(tmp_path / "ia.json"),
                        "--trials", "2", "--probes", "1", "--drop", "1", "--limit",
                        "8")  # fmt: skip
    assert searched.exit_code == 0, searched.output
    assert np.isfinite(json.loads((tmp_path / "ia.json").read_text())["beta"])


@pytest.mark.parametrize(
    ("verb", "settings"),
    [("harden", HardenSettings), ("align", AlignSettings), ("ia-search", SearchSettings)],
)
def test_the_help_says_name_default_and_meaning_of_every_setting(
    verb: str, settings: type[Spec]
) -> None:
    result = CliRunner().invoke(app, ["surrogates", verb, "--help"], env={"COLUMNS": "400"})
    lines = {words[1]: line for line in result.output.splitlines() if (words := line.split())[1:]}
    for name, field in settings.model_fields.items():
        line = lines["--" + name.replace("_", "-")]
        assert field.description is not None
        assert " ".join(field.description.replace("`", "").split()) in line
        if isinstance(field.default, bool):
            assert f"[default: {name}]" in line
        elif field.default is not None:
            written = line.rpartition("[default: ")[2].partition("]")[0]
            assert getattr(settings(**{name: written}), name) == field.default
    assert "256" in lines["--limit"] if verb == "ia-search" else "5000" in lines["--limit"]


def test_nothing_given_is_every_default(tmp_path: Path) -> None:
    job, out = write(tmp_path), tmp_path / "hard.safetensors"
    arguments = ("--surrogate", "s0", "--out", str(out), "--limit", "6")
    CliRunner().invoke(app, ["surrogates", "harden", job, *arguments])
    assert HardenSettings(**about_trained(out)["settings"]) == HardenSettings()


def test_their_help_does_not_wait_for_torch() -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from gauntlet.jobs.cli.app import app\n"
        "assert 'pydantic' not in sys.modules\n"
        "done = CliRunner().invoke(app, ['surrogates', 'harden', '--help'])\n"
        "assert '--epsilon' in done.output\n"
        "sys.exit('torch' in sys.modules or 'ray' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
