from __future__ import annotations

import inspect
import pickle
import re
import shlex
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from gauntlet import Attack, attack, load_parts
from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.attacks import own_parts
from gauntlet.pipeline.attacks.own_parts import PartsSource, taken_up
from gauntlet.pipeline.attacks.part import catalogue, forget
from gauntlet.pipeline.models.sources.permission import VARIABLE, granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.plan import Resources, plan_of
from tests.toys import runs
from tests.toys.jobs import attacks, write
from tests.toys.surrogates import SmallNet, images

PAGE = Path(__file__).parents[2] / "docs" / "own-parts.md"
HEAD = "from gauntlet.parts import Filter, View, register\n\n"
HALVED = (
    HEAD
    + """
@register
class Halved(Filter):
    '''Half of it.'''

    token = "halved"
    by: float = 2.0
    '''Divides.'''

    def apply(self, gradient):
        return gradient / self.by
"""
)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.S)


def gauntlet(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    for path in list(own_parts._loaded):
        own_parts._drop(path)
    own_parts._made.clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the page's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "tests")
    (tmp_path / "mine.py").write_text(blocks("python")[2])
    return tmp_path


def job(folder: Path, text: str | None = None) -> Path:
    """A tiny job with the page's attacks, or others."""
    return write(folder, (attacks("")[0], blocks("yaml")[0] if text is None else text))


def refused(folder: Path, text: str) -> str:
    (folder / "bad.py").write_text(text)
    with pytest.raises(BadInput) as caught:
        load_parts(folder / "bad.py")
    return str(caught.value).replace(f"{folder}/", "")


def test_the_page_s_cells_run_as_written() -> None:
    """A rule of fifteen lines in a cell, and an attack with it in the next."""
    rule, use = blocks("python")[:2]
    assert len([line for line in rule.splitlines() if line]) <= 15
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in (rule, use, rule, use):  # a cell may be run again
        exec(cell, names)
    assert (names["adversarial"] - names["images"]).abs().max() > 0.02
    forget([names["Agreed"]])


def test_a_cell_s_part_is_recorded_and_stays_in_its_process(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(blocks("python")[0], names)
    try:
        loaded = open_job(job(here, "attacks: {combine: agreed}\n"))
        (source,) = loaded.plan.parts
        assert source.path == "__main__.Agreed"
        launch(loaded.plan, "run", permission=loaded.permission)
        assert plan_of("run") == loaded.plan
        elsewhere = {"placement": "packed", "workers": 2}
        packed = loaded.plan.model_copy(update={"resources": Resources.model_validate(elsewhere)})
        with pytest.raises(BadInput, match="Agreed is defined in a notebook or script, which"):
            launch(packed, "packed", permission=loaded.permission)
    finally:
        forget([names["Agreed"]])
    with pytest.raises(BadInput, match="define Agreed in this one"):
        plan_of("run")


def test_a_file_that_was_loaded_before_comes_with_the_plan(here: Path) -> None:
    load_parts("mine.py")
    plan = open_job(job(here, "attacks: {combine: agreed}\n")).plan
    assert plan.parts[0].text == (here / "mine.py").read_text()


@pytest.mark.slow
def test_the_page_s_commands_run_as_written(here: Path) -> None:
    for block in blocks("sh"):
        status, said = gauntlet(*shlex.split(block.replace("\\\n", " "))[1:])
        assert status == 0, said
    assert "brighter-mi/agreed" in said


def test_a_job_runs_parts_of_a_file_and_its_record_holds_the_text(here: Path) -> None:
    loaded = open_job(job(here))
    launch(loaded.plan, "run", permission=loaded.permission)
    (source,) = plan_of("run").parts
    assert (source.path, source.text) == ("mine.py", (here / "mine.py").read_text())
    labels = {"mi/ens/linf-8", "brighter-smoothed/agreed/linf-8"}
    assert set(runs.verdicts("run").attack) == labels


def test_a_run_goes_on_with_the_text_of_then_only(here: Path) -> None:
    loaded = open_job(job(here))
    launch(loaded.plan, "run", permission=loaded.permission)
    mine = here / "mine.py"
    before = mine.read_text()
    mine.write_text(before.replace("0.9, ge=0", "0.8, ge=0"))
    own_parts.only(())
    status, said = gauntlet("resume", "run", "--placement", "in-process")
    assert status == 2
    assert "mine.py: was changed since the run began" in said
    assert "-    beta: float = Field(0.9, ge=0, lt=1)" in said
    assert "+    beta: float = Field(0.8, ge=0, lt=1)" in said
    mine.unlink()
    with pytest.raises(BadInput, match=r"mine\.py: no file"):
        plan_of("run", granted())
    elsewhere = here / "kept"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(before)
    assert plan_of("run", granted([str(elsewhere / "mine.py")])).parts[0].text == before
    own_parts.only(())
    status, said = gauntlet("resume", "run", "--set", "root=kept", "--placement", "in-process")
    assert status == 0, said


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    texts = {f"{name}/rule.py": HALVED.replace("halved", name) for name in ("one", "two")}
    for path, text in texts.items():
        (tmp_path / "kept" / path).parent.mkdir(parents=True)
        (tmp_path / "kept" / path).write_text(text)
    sources = [
        PartsSource(path=p, digest=sha256(t.encode()).hexdigest(), text=t) for p, t in texts.items()
    ]
    given = [str(tmp_path / "kept" / path) for path in texts]
    for root in (tmp_path / "kept", tmp_path):  # at their paths, and elsewhere
        own_parts.only(())
        taken_up([source.model_dump() for source in sources], root, granted(given))
        assert {"one", "two"} <= {part.token for part in catalogue()}
    own_parts.only(())
    (tmp_path / "kept" / "two" / "rule.py").write_text(HALVED)
    with pytest.raises(BadInput, match=r"^two/rule\.py: was changed") as caught:
        taken_up([source.model_dump() for source in sources], tmp_path / "kept", granted(given))
    assert '+    token = "halved"' in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(HALVED.encode("utf-8-sig"))
    (part,) = load_parts(file)
    assert part.token == "halved"
    assert own_parts.used([part()])[0].digest == sha256(file.read_bytes()).hexdigest()


def test_a_job_s_file_is_run_where_code_may_be_and_else_only_if_named(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = here / "far"
    far.mkdir()
    ran = far / "ran"
    (far / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n{HALVED}")
    path = job(here, "parts: far/evil.py\nattacks: {base: halved}\n")
    with pytest.raises(BadInput) as caught:
        open_job(path)
    assert f"to run it, add: --parts {far}/evil.py" in str(caught.value)
    assert not ran.exists()
    assert len(open_job(path, allowed=[str(far / "evil.py")]).plan.parts) == 1
    assert ran.exists()


def test_the_parts_of_a_job_go_when_another_comes(here: Path) -> None:
    open_job(job(here))
    assert {"agreed", "smoothed", "brighter"} <= {part.token for part in catalogue()}
    open_job(job(here, "attacks: {base: i}\n"))
    assert "agreed" not in {part.token for part in catalogue()}


def test_another_process_has_the_parts_when_it_reads_the_plan(here: Path) -> None:
    """Options are instances of the classes: these must be there first."""
    sent = pickle.dumps(open_job(job(here)).plan)
    (here / "mine.py").unlink()
    own_parts.only(())
    for module in own_parts._made:
        del sys.modules[module]
    own_parts._made.clear()
    plan = pickle.loads(sent)
    part = plan.attacks[1].options["smoothed"]
    assert part.beta == 0.5
    assert "beta: float" in inspect.getsource(type(part))
    assert part in plan.attacks[1].parts


@pytest.mark.slow
def test_two_packed_workers_have_them_and_give_the_same_rows(here: Path) -> None:
    loaded = open_job(job(here))
    launch(loaded.plan, "alone", permission=loaded.permission)
    elsewhere = {"placement": "packed", "workers": 2, "batch": 4}
    plan = loaded.plan.model_copy(update={"resources": Resources.model_validate(elsewhere)})
    launch(plan, "packed", permission=loaded.permission)
    assert runs.verdicts("alone").equals(runs.verdicts("packed"))


def test_commands_show_them_beside_the_others(here: Path) -> None:
    status, said = gauntlet("methods", "smoothed", "--parts", "mine.py")
    assert status == 0
    assert "update, mine.py:" in said
    assert "Decay factor." in said
    assert "`options` of `brighter`" in gauntlet("schema", "--parts", "mine.py")[1]
    status, said = gauntlet("check", str(job(here)))
    assert status == 0, said
    assert "parts of your own: brighter, agreed, smoothed (mine.py, sha256 " in said
    assert "expected a Python file" in gauntlet("methods", "--parts", "mine")[1]


def test_a_changed_file_takes_the_place_of_the_former(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    nets, clean, labels = [SmallNet(0)], images(3).float(), torch.arange(3)
    found = []
    for text in (HALVED, HALVED.replace("gradient / self.by", "-gradient"), HALVED):
        file.write_text(text)
        load_parts(file)
        found.append(attack(nets, clean, labels, Attack(base="halved", steps=1)))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


BAD = {
    "x = (": "bad.py:1: SyntaxError: '(' was never closed",
    "import nothing_there": "bad.py:1: ModuleNotFoundError: No module named 'nothing_there'; a",
    "x = 1\n1 / 0": "bad.py:2: ZeroDivisionError: division by zero",
    "x = 1": "bad.py: registers no part: a part is a class under @register",
    HALVED.replace("@register", "#"): "registers no part: a part is a class under @register; write "
    "it above the class in line 5 (Halved)",
    HALVED.replace('"halved"', '"ti"'): "bad.py:4: two parts claim the token 'ti': "
    "gauntlet.pipeline.attacks.filters.ti and bad.py:4",
    HALVED.replace('"halved"', '"di-ti"'): "bad.py:4: Halved has the token 'di-ti', which already "
    "means di with ti",
    HALVED.replace('"halved"', '"Halved"'): "expected lower-case letters, digits and single dashes",
    HALVED.replace('    token = "halved"', ""): "bad.py:4: Halved has no `token`: give it one",
    HALVED.replace("def apply", "def aply"): "bad.py:4: Halved does not define `apply`",
    HALVED
    + "\n\n@register\nclass Again(Halved):\n    pass": "bad.py:16: two parts claim the token "
    "'halved': bad.py:4 and bad.py:16",
    f"{HALVED}\n\n{HALVED}": "two classes Halved of one file claim the token 'halved'",
}


@pytest.mark.parametrize(("text", "said"), BAD.items(), ids=range(len(BAD)))
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    found = refused(tmp_path, text)
    assert said in found
    assert "\n" not in found
    assert "halved" not in {part.token for part in catalogue()}


def test_a_package_s_parts_are_run_when_a_person_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed means offered; nothing of it is imported."""
    (tmp_path / "offering.py").write_text(HALVED)
    about = tmp_path / "offering_dist-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: offering-dist\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[gauntlet.parts]\nhalved = offering\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = gauntlet("methods")[1]
    assert "halved: in offering-dist, which is installed" in said
    assert "offering" not in sys.modules
    path = job(tmp_path, "parts: offering\nattacks: {base: halved}\n")
    with pytest.raises(BadInput, match="add: --allow-imports offering"):
        open_job(path)
    assert open_job(path, allowed=["offering"]).plan.parts[0].path == "offering"
    monkeypatch.delitem(sys.modules, "offering", raising=False)
