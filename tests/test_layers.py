"""The direction of the layers: jobs -> actors -> pipeline."""

import ast
from collections.abc import Collection, Mapping
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


LAUNCHING = {
    "jobs/cli/calibrate_job.py",
    "jobs/cli/check_job.py",
    "jobs/cli/outlook.py",
    "jobs/cli/plan_job.py",
    "jobs/cli/readiness.py",
    "jobs/cli/run_job.py",
    "jobs/cluster/client.py",
    "jobs/running.py",
}
"""Files of `jobs` that start runs, or say what one would be: what only reads needs no actors."""


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
def test_a_renderer_imports_no_other_and_no_command(renderer):
    names = imports(ROOT / "jobs" / "reports" / f"{renderer}.py")
    others = ("gauntlet.jobs.cli.", *(f"gauntlet.jobs.reports.{name}." for name in RENDERERS))
    assert not [name for name in names if f"{name}.".startswith(others)]


LOWEST_FIRST = [
    *(
        "credentials",
        "cross_entropy",
        "discovery",
        "draws",
        "files",
        "norms",
        "progress",
        "user_cache",
        "problems",
        "spec",
    ),
    *("batch", "exchange"),
    *("results", "models", "data", "evaluation", "interactions", "attacks", "oracle"),
    *("laws", "foreign", "run", "library", "training"),
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


def modules() -> dict[str, Path]:
    """Every module of the three packages, by its import name."""
    found = {}
    for package in ("pipeline", "actors", "jobs"):
        for path in (ROOT / package).rglob("*.py"):
            inner = path.relative_to(ROOT).with_suffix("").parts
            parts = inner[:-1] if inner[-1] == "__init__" else inner
            found[".".join(("gauntlet", *parts))] = path
    return found


def imported(path: Path, known: Collection[str]) -> set[str]:
    """The modules that a file imports: at the top, in a function, or for the type checker alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in known else node.module)
    return found & set(known)


def circles(ties: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of modules each of which leads to all the others."""
    reach = {name: set(others) for name, others in ties.items()}
    for middle in ties:
        for others in reach.values():
            if middle in others:
                others |= reach[middle]
    found = []
    for name, others in reach.items():
        circle = {other for other in others if name in reach[other]}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def test_a_circle_is_found():
    ties = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert circles(ties) == [{"b", "c"}]


def test_no_files_import_each_other_in_a_circle():
    known = modules()
    assert len(known) > 200
    ties = {name: imported(path, known) - {name} for name, path in known.items()}
    assert circles(ties) == []
