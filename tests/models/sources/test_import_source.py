"""`import:` runs code of the person's only; nothing that a job says can widen that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from gauntlet.pipeline.models.build import build, check, describe
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import NOTHING, VARIABLE, Permission, granted
from gauntlet.pipeline.models.wanted import wanted as missing_files
from gauntlet.pipeline.problems import BadInput

NETS = """
import functools, os, subprocess, torch, torchvision
from os import popen, system
from runpy import run_path
from torch.nn import Sequential
from torchvision.models import resnet18

class Net(torch.nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.head = torch.nn.Linear(3, outputs)
    def forward(self, images):
        return self.head(images.mean((2, 3)))
    @classmethod
    def wide(cls):
        return cls(50)

class Opener(subprocess.Popen):
    pass

class Face(torchvision.models.ResNet):
    pass

class Maker:
    def __call__(self):
        return Net(7)

@torch.no_grad()
def decorated(outputs=4):
    return Net(outputs)

@functools.lru_cache
def cached():
    return Net(5)

small, borrowed = functools.partial(Net, 2), functools.partial(resnet18)
maker, ready = Maker(), Net()
"""


def spec(text: str, /, **options: Any) -> ModelSpec:
    return ModelSpec(name="m", source=text, options=options)


def message(source: str, permission: Permission, root: Path = Path("."), **options: Any) -> str:
    """What is wrong with a model, by `check` and `build` alike."""
    (problem,) = check(spec(source, **options), root, permission=permission)
    with pytest.raises(BadInput) as caught:
        build(spec(source, **options), root=root, permission=permission)
    assert caught.value.problems == (problem,)
    return problem.what


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, which is not that of these tests."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "desk"


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Files of Python code that are executed from now on, and processes that are started."""
    seen: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event == "exec" and hasattr(arguments[0], "co_filename"):
            seen.append(arguments[0].co_filename)
        elif event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork"):
            seen.append(event)

    sys.addaudithook(hook)
    yield seen
    watching = False


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages: `elsewhere` with a module, and `single`."""
    site = tmp_path / "site-packages"
    (site / "elsewhere").mkdir(parents=True)
    (site / "elsewhere" / "__init__.py").write_text("")
    (site / "elsewhere" / "nets.py").write_text(NETS)
    (site / "single.py").write_text(NETS)
    monkeypatch.syspath_prepend(site)
    return site


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("import:os:system", {"command": "touch ran"}, "--allow-imports os"),
        ("import:subprocess:run", {"args": "touch ran", "shell": True}, "--allow-imports subproc"),
        ("import:xml.dom.minidom:parse", {"file": "x"}, "--allow-imports xml"),
        ("import:sys:exit", {}, "'sys' belongs to the standard library"),
        ("import:builtins:exec", {"source": "import os"}, "--allow-imports builtins"),
        ("import:elsewhere.nets:Net", {}, "'elsewhere.nets' is an installed package"),
        ("import:single:Net", {}, "if you trust this job with that package, add: --allow-imports"),
        ("import:timm:create_model", {"model_name": "resnet18"}, "--allow-imports timm"),
        ("import:pipeline.surrogates.trained_file:about_trained", {"path": "x"}, "pipeline"),
        ("import:__main__:main", {}, "expected import:package.module:factory"),
        ("import:..desk.nets:Net", {}, "expected import:package.module:factory"),
        ("import:/etc/nets:Net", {}, "expected import:package.module:factory"),
        ("import:a b:Net", {}, "expected import:package.module:factory"),
        ("import:nowhere.nets:Net", {}, "looked for nowhere/nets.py and nowhere/nets/__init__.py"),
        ("mean:logits", {}, "--allow-imports elsewhere"),
        ("trained:w.safetensors", {"source": "import:os:system"}, "--allow-imports os"),
    ],
)
def test_code_of_others_is_refused_with_the_line_to_add_and_not_run(
    source: str,
    options: dict[str, Any],
    words: str,
    desk: Path,
    installed: Path,
    opened: list[str],
) -> None:
    made = spec(source, **options)
    if source.startswith("mean:"):
        member = spec("import:elsewhere.nets:Net")
        made = ModelSpec(name="m", source=source, members=(member, member))
    loaded = set(sys.modules)
    found = check(made, desk, permission=granted())
    with pytest.raises(BadInput):
        build(made, root=desk, permission=granted())
    assert words in "\n".join(problem.what for problem in found)
    assert not [file for file in opened if str(installed) in file or not Path(file).exists()]
    assert not {"elsewhere", "elsewhere.nets", "single", "xml.dom.minidom"} & (
        set(sys.modules) - loaded
    )
    assert list(desk.iterdir()) == []


def test_without_a_permission_nothing_is_run(desk: Path, opened: list[str]) -> None:
    (desk / "nets.py").write_text(NETS)
    assert "only code of yours, from no folder" in message("import:os:system", NOTHING)
    assert "looked for nets.py and nets/__init__.py in no folder" in message(
        "import:nets:Net", NOTHING
    )
    assert not [file for file in opened if str(desk) in file]


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("Net", 3), ("Net.wide", 50), ("decorated", 4), ("cached", 5), ("small", 2), ("maker", 7),
    ],
)  # fmt: skip
def test_factories_of_the_person_are_run(name: str, outputs: int, desk: Path) -> None:
    (desk / "nets.py").write_text(NETS)
    made = build(spec(f"import:nets:{name}"), permission=granted())
    assert made.network.head.out_features == outputs  # type: ignore[union-attr]
    about = describe(spec(f"import:nets:{name}"), Path(), granted())
    assert about.ran == (desk / "nets.py",)
    assert f"; ran {desk / 'nets.py'};" in str(about)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "os.system",
            "has no callable 'os.system'; it defines Net, Opener, Face, Maker, decorated",
        ),
        ("system", "is defined in posix, which is not yours"),
        ("resnet18", "torchvision/models/resnet.py, which is not yours: write a function"),
        ("borrowed", "torchvision/models/resnet.py, which is not yours"),
        ("Sequential", "which is not yours"),
        ("Net.__class__", "which is not yours"),
        ("Net.mro", "which is not yours"),
        ("Net.load_state_dict", "torch/nn/modules/module.py, which is not yours"),
        ("Net.wide.__func__.__globals__", "no callable"),
        ("decorated.__globals__.clear", "no callable"),
        ("functools.partial", "no callable"),
        ("popen", "which is not yours"),  # Python's frozen modules have no file
        ("run_path", "which is not yours"),
        ("Opener", "is a class, but not of networks"),
        ("ready", "is a network; name a function that returns it"),
    ],
)
def test_what_a_module_has_from_elsewhere_is_not_the_persons(
    name: str, words: str, desk: Path, opened: list[str]
) -> None:
    (desk / "nets.py").write_text(NETS)
    assert words in message(f"import:nets:{name}", granted(), command="touch ran")
    assert "os.system" not in opened
    assert not (desk / "ran").exists()


def test_where_modules_are_looked_for(tmp_path: Path, desk: Path) -> None:
    """Beside the job file, in the working directory, below a given root, in allowed folders."""
    folders = {name: tmp_path / name for name in ("job", "desk", "root", "more", "env")}
    for outputs, (name, folder) in enumerate(folders.items(), start=1):
        folder.mkdir(exist_ok=True)
        (folder / f"only_{name}.py").write_text(f"{NETS}\ndef make():\n    return Net({outputs})\n")
        (folder / "nets.py").write_text(f"{NETS}\ndef make():\n    return Net({outputs})\n")

    def width(module: str, permission: Permission) -> int:
        made = build(spec(f"import:{module}:make"), permission=permission).network
        head = made.head
        assert isinstance(head, nn.Linear)
        return head.out_features

    everywhere = granted(
        ["../more/", str(folders["env"])], job=folders["job"], root=folders["root"]
    )
    for expected, name in enumerate(folders, start=1):
        assert width(f"only_{name}", everywhere) == expected
    # The first folder's module wins, and is not taken for another job's of the same name.
    assert width("nets", everywhere) == 1
    assert width("nets", granted()) == 2
    assert width("nets", granted(job=folders["more"])) == 4
    assert width("nets", everywhere) == 1
    miss = message("import:absent:make", everywhere)
    for place, why in (
        ("job", "beside the job file"), ("desk", "the working directory"), ("root", "--set root"),
        ("more", "--allow-imports"), ("env", "--allow-imports"),
    ):  # fmt: skip
        assert f"{folders[place]} ({why})" in miss
    # A root that the job names is none of them; the message knows what is there.
    untrusted = message("import:only_root:make", granted(), folders["root"])
    assert (
        f"`root` is not trusted: to run the one there, add --allow-imports {folders['root']}"
        in (untrusted)
    )


def test_what_the_command_and_the_environment_allow(
    tmp_path: Path, desk: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mine.py").write_text(NETS)
    monkeypatch.setenv(VARIABLE, f"elsewhere:{tmp_path / 'more'}:/no/such/folder:")
    assert check(spec("import:elsewhere.nets:Net"), desk, permission=granted()) == []
    assert check(spec("import:mine:Net"), desk, permission=granted()) == []
    assert "--allow-imports single" in message("import:single:Net", granted())
    monkeypatch.delenv(VARIABLE)
    assert check(spec("import:single:Net"), desk, permission=granted(["single"])) == []
    assert "--allow-imports elsewhere" in message("import:elsewhere.nets:Net", granted(["single"]))
    # The name of a package allows the package's own code.
    assert "is defined in posix" in message("import:os:system", granted(["os"]), command="true")
    for wrong, words in (
        ("/no/such/folder", "no folder /no/such/folder"),
        ("a-b", "expected a folder, written with a slash, or a package's name"),
    ):
        with pytest.raises(BadInput, match=words):
            granted([wrong])


def test_a_module_is_where_its_name_says(tmp_path: Path, desk: Path) -> None:
    """No links to other places, no folders that are no packages, no names of Python's own."""
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "nets.py").write_text(NETS)
    (desk / "linked.py").symlink_to(tmp_path / "away" / "nets.py")
    (desk / "kit").symlink_to(tmp_path / "away")
    (desk / "data").mkdir()
    (desk / "data" / "nets.py").write_text(NETS)
    (desk / "random.py").write_text(NETS)
    (desk / "pydantic.py").write_text(NETS)
    real = f"{desk / 'linked.py'} leads to {tmp_path / 'away' / 'nets.py'}"
    assert message("import:linked:Net", granted()) == (
        f"{real}; to run what is there, add: --allow-imports {tmp_path / 'away'}"
    )
    assert check(spec("import:linked:Net"), desk, permission=granted(["../away"])) == []
    assert "data is no package: it has no __init__.py" in message("import:data.nets:Net", granted())
    assert "kit is no package" in message("import:kit.nets:Net", granted())
    (tmp_path / "away" / "__init__.py").write_text("")
    assert "leads to" in message("import:kit.nets:Net", granted())
    own = message("import:random:Net", granted())
    assert (
        own == f"{desk / 'random.py'} has the name of a module of the standard library; rename it"
    )
    assert "pydantic.py has the name of a module in use" in message(
        "import:pydantic:Net", granted()
    )
    project = Path(__file__).parents[3]
    assert "Gauntlet's own" in message(
        "import:jobs.cli.exit_status:Status", granted([f"{project}/"])
    )


def test_modules_import_each_other_as_scripts_do(desk: Path) -> None:
    (desk / "kit").mkdir()
    (desk / "kit" / "__init__.py").write_text("")
    (desk / "kit" / "parts.py").write_text(NETS)
    (desk / "kit" / "nets.py").write_text(
        "from kit.parts import Net\nfrom .parts import decorated\n"
    )
    (desk / "random.py").write_text("raise SystemExit('hides the standard library')\n")
    (desk / "queue.py").write_text("raise SystemExit('hides the standard library')\n")
    (desk / "sizes.py").write_text("outputs = 9\n")
    (desk / "late.py").write_text(
        "from kit.nets import Net\nimport random, queue\n"
        "def make():\n    import sizes\n    return Net(sizes.outputs)\n"
    )
    assert build(spec("import:late:make"), permission=granted()).network.head.out_features == 9  # type: ignore[union-attr]
    assert check(spec("import:kit.nets:decorated"), desk, permission=granted()) == []
    assert describe(spec("import:kit.nets:Net"), desk, granted()).ran == (desk / "kit" / "nets.py",)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise SystemExit(3)", "failed: it left Python (exit code 3)"),
        ("raise ValueError('too wide')", "failed: ValueError: too wide"),
        ("return Net", "returned the class Net, expected a bare nn.Module"),
        ("return None", "returned NoneType, expected a bare nn.Module"),
        (
            "from gauntlet import adapt; return adapt(Net())",
            "returned Model, expected a bare",
        ),
        ("net = Net(); net.lock = __import__('threading').Lock(); return net", "cannot be copied"),
    ],
)
def test_a_factory_that_fails_is_one_problem(body: str, words: str, desk: Path) -> None:
    (desk / "nets.py").write_text(f"{NETS}\ndef make():\n    {body}\n")
    with pytest.raises(BadInput) as caught:
        build(spec("import:nets:make"), permission=granted())
    (problem,) = caught.value.problems
    assert problem.where == "source"
    assert words in problem.what
    assert str(desk / "nets.py") in problem.what


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit", "nets.py failed: it left Python (exit code None)"),
        ("import sys; sys.exit('bye')", "it left Python (exit code bye)"),
        ("1/0", "nets.py failed: ZeroDivisionError"),
        ("def make(:", "nets.py failed: SyntaxError"),
        ("import not_there_at_all", "No module named 'not_there_at_all'; install that package"),
    ],
)
def test_a_module_that_fails_is_one_problem(text: str, words: str, desk: Path) -> None:
    (desk / "nets.py").write_text(text)
    assert words in message("import:nets:make", granted())


def test_files_that_a_factory_needs_are_said_before_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("raise SystemExit('ran')")
    (tmp_path / "here.bin").write_bytes(b"1")
    wanted = ModelSpec(
        name="m", source="import:needy:net", files=("here.bin", "net.bin"), fetch="by mail"
    )
    (problem,) = check(wanted, tmp_path, permission=granted(root=tmp_path))
    assert str(problem) == f"files: no such file: {tmp_path / 'net.bin'}"
    (missing,) = missing_files([wanted], tmp_path)
    assert (missing.missing.where, missing.missing.direct) == ("by mail", False)
    assert missing.missing.path == tmp_path / "net.bin"
    (problem,) = check(ModelSpec(name="m", source="zoo/s1", files=("a",)), tmp_path)
    assert str(problem) == "files: only an import: source takes any, not 'zoo/s1'"
