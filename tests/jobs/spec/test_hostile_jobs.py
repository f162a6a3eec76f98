"""Jobs made to hang, to fill the memory or the terminal, or to end in a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gauntlet.jobs.cli import exit_status
from gauntlet.jobs.spec import models as model_entries
from gauntlet.jobs.spec import yaml_source
from gauntlet.jobs.spec.checks import models as checks
from gauntlet.jobs.spec.document import Document
from gauntlet.jobs.spec.job_problems import MOST, JobProblems
from gauntlet.jobs.spec.loading import load
from gauntlet.jobs.spec.yaml_source import DEEPEST, LONGEST_TEXT, parse, read
from gauntlet.pipeline.problems import BadInput, suggest
from tests.toys import jobs as tiny

FEW = 5_000
"""Values of a job, for tests of what is beyond them."""


def problems(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        parse(text, "job.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {<<: *a}\n",
        "a: &a\n  x: 1\n  <<: [*a]\n",
        "a: &a {b: {<<: *a}}\n",
        "a: &a {b: &b {<<: *a}, <<: *b}\n",
    ],
)
def test_merges_of_themselves(text: str) -> None:
    assert any("an alias refers to what contains it" in problem for problem in problems(text))


def test_merges_keep_the_nearest_value_and_its_line() -> None:
    text = "a: &a {x: 1, y: 1, z: {u: 1}}\nb: &b\n  <<: *a\n  y: 2\nc:\n  <<: [*b, *a]\n  x: 3\n"
    document = parse(text, "job.yaml")
    assert document.data["c"] == {"x": 3, "y": 2, "z": {"u": 1}}
    places = {key: document.line(("c", key)) for key in "xyz"}
    assert places == {"x": 7, "y": 4, "z": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b: &b {x: 1}\na: {<<: [" + "*b, " * FEW + "]}\n", "more than 5,000 values"),
        ("a: [" + "1," * (FEW + 1) + "]", "more than 5,000 values"),
        ("a: " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested too deeply"),
        ("\n".join(f"a{n}: &a{n} {{k: [*a{n - 1}]}}" if n else "a0: &a0 {k: 1}" for n in range(60))
         , "nested too deeply"),
        ("a: " + "x" * (LONGEST_TEXT + 1), "a: 4,097 letters; at most 4,096 are allowed"),
        ("? " + "x" * (LONGEST_TEXT + 1) + "\n: 1", "letters; at most 4,096"),
        ('a: "x\\0y"', r"a: 'x\x00y' holds a character that is no text"),
        ('a: "\\ud800"', r"a: '\ud800' holds a character that is no text"),
    ],
)  # fmt: skip
def test_what_no_job_is(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "LARGEST_JOB", FEW)
    (problem,) = problems(text)
    assert expected in problem
    assert len(problem) < 300


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_special_files_are_no_jobs(tmp_path: Path, kind: str) -> None:
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(BadInput, match=f"cannot read the job file: is a .*{kind}; expected a file"):
        read(path)


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", ".", "a\\0b", "~nobody-of-this-name/x"])
def test_every_file_that_a_job_names_is_asked_what_it_is(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    model = f'{{source: "file:{name}", architecture: cifar-resnet-20}}'
    tiny.write(
        tmp_path,
        ("path: images.npz", f'path: "{name}"'),
        ('  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}',
         f"  - {model}"),
        ("{base: i,", f'{{base: ia-i, options: {{ia: {{search: "{name}"}}}},'),
    )  # fmt: skip
    with pytest.raises(BadInput) as caught:
        load(tmp_path / "job.yaml")
    found = [str(problem) for problem in caught.value.problems]
    if "\\0" in name:
        assert len(found) == 3
        assert all("holds a character that is no text" in problem for problem in found)
        return
    for field in ("data", "targets[0]", "attacks[0]"):
        assert any(field in problem for problem in found), (field, found)


@pytest.mark.parametrize("field", ["labels", "ids", "pairs"])
@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "~nobody-of-this-name/x"])
def test_lists_are_asked_what_they_are(tmp_path: Path, field: str, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    data = {
        "labels": f"{{source: folder, root: ., labels: {name}}}",
        "ids": f"{{source: npz, path: images.npz, ids: {name}}}",
        "pairs": f"{{source: pairs, images: images.npz, pairs: {name}}}",
    }[field]
    change = ("{source: npz, path: images.npz}", data)
    goal = ("goal: untargeted", "goal: untargeted")
    if field == "pairs":
        goal = ("kind: classification, goal: untargeted", "kind: verification, goal: dodging")
    assert any("data" in problem for problem in tiny.problems(tmp_path, change, goal))


def test_of_many_problems_the_first_and_their_number_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "a: 1\n" * 500

    def command() -> int:
        parse(text, "job.yaml")
        return 0

    with pytest.raises(typer.Exit) as ended:
        exit_status.end(command)
    assert ended.value.exit_code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == exit_status.SHOWN_PROBLEMS + 1
    assert lines[0] == "job.yaml:2: a: given twice; the first is in line 1"
    assert lines[-1] == "499 problems; the first 20 are shown"


def test_a_job_of_mistakes_is_not_checked_to_its_end(tmp_path: Path) -> None:
    entries = "\n".join(f"  - {{like: nobody{number}}}" for number in range(600))
    old = '  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}'
    found = tiny.problems(tmp_path, (old, entries))
    assert found[0] == f"job.yaml: {MOST:,} problems: the rest was not checked"
    assert len(found) == MOST + 1
    assert max(map(len, found)) < 2000


def test_known_words_are_listed_up_to_a_hundred() -> None:
    what = suggest("name7", [f"name{number}x" for number in range(10_000)], "model")
    assert "did you mean 'name7x'" in what
    assert what.endswith("name99x and 9900 more")


def steps(action: Callable[[], Any]) -> int:
    """Return how many lines of the project's own code an action runs: time that is the same."""
    count = 0

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return local

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        return local if "/jobs/" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", ["one parent", "a chain"])
def test_thousands_of_likes_take_linear_time(kind: str) -> None:
    def resolve(count: int) -> None:
        first = {"name": "m0", "source": "zoo/s1"}
        entries: list[Any] = [first, *({"like": "m0"} for _ in range(count))]
        if kind == "a chain":
            entries = [first, *({"name": f"m{n + 1}", "like": f"m{n}"} for n in range(count))]
        found = JobProblems(Document("job.yaml", {}, {(): 1}))
        listed = model_entries.resolve({"targets": entries}, found)
        assert len({model.name for model in listed}) == count + 1
        assert all(model.spec and model.spec.source == "zoo/s1" for model in listed)

    resolve(1)  # what is done once
    assert steps(lambda: resolve(200)) < 2.2 * steps(lambda: resolve(100))


def test_models_of_one_network_are_checked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = '  - {name: t0, source: "zoo/s1", mean: [0.1, 0.2, 0.3], task: verification}'
    first = '  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}'
    likes = "\n".join(f"  - {{like: t0, std: [1, 1, 0.{n + 100}]}}" for n in range(300))
    found = tiny.problems(tmp_path, (first, f"{target}\n{likes}"))
    assert found == [
        "job.yaml:8: targets[0].source: zoo/s1 is a verification model, the job's task is "
        "classification"
    ]
    likes = "\n".join(f"  - {{like: t0, options: {{number: {n}}}}}" for n in range(30))
    monkeypatch.setattr(checks, "MOST_NETWORKS", 20)
    found = tiny.problems(tmp_path, (first, f"{target}\n{likes}"))
    assert found[-1].endswith("more than 20 different networks; make several jobs of this one")


words = st.sampled_from(
    [
        *("a", "b", "<<", "source", "like", "name", "&x ", "*x", "- ", "[", "]", "{", "}", ": "),
        *(", ", "\n", "\n  ", "'", '"', "#", "|", ">", "!!int ", "? ", "---", "1", "1e9", "\t"),
    ]
)


def problems_of(reading: Callable[[], object]) -> list[str]:
    """Return what is wrong, if anything; anything but problems is raised."""
    try:
        reading()
    except BadInput as error:
        return [str(problem) for problem in error.problems] or ["none at all"]
    return []


@settings(max_examples=60, deadline=None)
@given(st.lists(words, max_size=25).map("".join))
def test_any_text_is_a_document_or_problems(text: str) -> None:
    found = problems_of(lambda: parse(text, "job.yaml"))
    assert all(problem.startswith("job.yaml") for problem in found)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False)
    | st.sampled_from(["s0", "t0", "i", "zoo/s1", "file:x", "mean:logits", "ens", "8/255", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "source", "like", "members", "options", "base", "grid", "key"]),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["surrogates", "targets", "attacks", "select", "evaluate", "data", "root"]),
        values,
        min_size=1,
        max_size=2,
    )
)
def test_any_section_is_sound_or_problems(tmp_path: Path, sections: dict[str, Any]) -> None:
    import yaml

    job = yaml.safe_load(tiny.JOB) | sections
    path = tiny.write(tmp_path)
    path.write_text(yaml.safe_dump(job))
    assert "none at all" not in problems_of(lambda: load(path))
