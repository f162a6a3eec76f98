"""Tests mirror the code: a file a module, in the same folders; every command is run by one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from gauntlet.jobs.cli.app import app

TESTS = Path(__file__).resolve().parent
OWN_PLACES = {
    "acceptance": "published references, on real checkpoints",
    "bench": "mirrors the benchmarks",
    "faults": "what can happen to a run, from outside",
    "fuzz": "whatever an input holds: a result or a refusal",
    "oracles": "each method beside the formulas of its paper",
    "toys": "what several tests are made of",
}
SUBJECTS = {
    "actors": "placements sessions shared_memory sick_worker slow_start",
    "attacks": "confident gradient_cosines places",
    "attacks/surgery": "degenerate_zoo in_attacks options",
    "data": "data_page gallery names",
    "foreign": "where",
    "interactions": "samplers",
    "jobs/cli": "secrets",
    "jobs/spec": "bad_input gallery hostile_jobs permission without_brackets",
    "models": "hostile_checkpoints",
    "models/sources": "optional_sources",
    "results": "former_columns",
    "run": "damaged_folder faces left_out object_store precision seeds set_aside tampering "
    "trap_18_schema",
    ".": "citations cluster front_door kubernetes layers mirror readme",
}
"""Tests of what no single module does alone: what their first lines say."""


def mirrored(path: Path) -> bool:
    inner = path.parent.relative_to(TESTS) / path.stem.removeprefix("test_")
    places = [TESTS.parent / "pipeline" / inner, TESTS.parent / inner]
    return any(place.with_suffix(".py").exists() or place.is_dir() for place in places)


def test_each_file_of_tests_is_that_of_a_module_or_says_of_what() -> None:
    files = set(TESTS.rglob("test_*.py"))
    listed = {
        TESTS / d / f"test_{name}.py" for d, names in SUBJECTS.items() for name in names.split()
    }
    elsewhere = {path for path in files if path.relative_to(TESTS).parts[0] in OWN_PLACES}
    assert listed == {path for path in files - elsewhere if not mirrored(path)}
    assert all(ast.get_docstring(ast.parse(path.read_text())) for path in listed)


def commands(group: typer.Typer, *before: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*before, command.name or command.callback.__name__)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, *before, str(inner.typer_instance.info.name))


@pytest.fixture(scope="module")
def run_by_tests() -> set[tuple[str, ...]]:
    """First words of all calls and lists in the tests, and a call's own name before its first."""
    found: set[tuple[str, ...]] = set()
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call | ast.List | ast.Tuple):
                given = node.args if isinstance(node, ast.Call) else node.elts
                words = [str(word.value) for word in given[:2] if isinstance(word, ast.Constant)]
                found |= {tuple(words[:1]), tuple(words)}
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    found.add((node.func.id, *words[:1]))
    return found


@pytest.mark.parametrize("words", commands(app), ids=" ".join)
def test_every_command_is_run_by_a_test(
    words: tuple[str, ...], run_by_tests: set[tuple[str, ...]]
) -> None:
    assert words in run_by_tests
