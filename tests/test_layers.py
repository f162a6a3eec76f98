"""The direction of the layers: jobs -> actors -> pipeline."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from gauntlet import pipeline

ROOT = Path(pipeline.__file__).parent.parent


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("pipeline", ("ray", "gauntlet.actors", "gauntlet.jobs")), ("actors", ("gauntlet.jobs",))],
)
def test_imports_point_downwards(package, forbidden):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if isinstance(node, ast.ImportFrom) and node.module == "gauntlet":
                names = [f"gauntlet.{alias.name}" for alias in node.names]
            above = tuple(f"{name}." for name in forbidden)
            bad = [name for name in names if f"{name}.".startswith(above)]
            assert not bad, f"{path.relative_to(ROOT)} imports {bad}"


LAUNCHING = {"jobs/cli/commands.py"}
"""Files of `jobs` that start runs; whatever only reads a run's folder needs no actors."""


def imports(path):
    """The modules and names that a file imports from, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_only_what_launches_imports_actors():
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "jobs").rglob("*.py")
        if any(f"{name}.".startswith("gauntlet.actors.") for name in imports(path))
    }
    assert importers == LAUNCHING


RENDERERS = ("contact_sheet", "page", "pictures", "plots", "seeds", "summary")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_renderer_is_not_a_library_of_another(renderer):
    names = imports(ROOT / "jobs" / "reports" / f"{renderer}.py")
    others = tuple(f"gauntlet.jobs.reports.{name}." for name in RENDERERS)
    assert not [name for name in names if f"{name}.".startswith(others)]


def test_the_library_works_without_ray():
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "import torch; from gauntlet import Attack, attack\n"
        "net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))\n"
        "x = torch.full((2, 3, 4, 4), 0.5)\n"
        "adv = attack([net], x, torch.tensor([0, 1]), Attack(base='di-ti-mi', combine='rgea'))\n"
        "assert (adv - x).abs().max() > 0.02\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


LOWEST_FIRST = [
    *("cross_entropy", "draws", "files", "norms", "progress", "spec", "problems", "batch"),
    *("results", "data", "evaluation", "interactions", "models", "attacks", "oracle", "library"),
    *("run", "training"),
]
"""The packages and modules of `pipeline`; each imports only those before it."""


def test_inside_pipeline_imports_point_downwards():
    names = {path.stem for path in (ROOT / "pipeline").iterdir() if path.suffix in ("", ".py")}
    assert names - {"__init__", "__pycache__"} == set(LOWEST_FIRST)
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        package = path.relative_to(ROOT / "pipeline").with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if not node.module.startswith("gauntlet.pipeline"):
                continue
            inner = node.module.split(".")[2:]
            for name in inner[:1] or [alias.name for alias in node.names]:
                allowed = LOWEST_FIRST[: LOWEST_FIRST.index(package) + 1]
                assert name in allowed, f"{path.relative_to(ROOT)}: {package} is below {name}"
