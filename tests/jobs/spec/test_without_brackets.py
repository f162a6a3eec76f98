"""One entry needs no list brackets, and the usual name of an attack says how it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet import Attack
from gauntlet.jobs.spec.loading import load
from gauntlet.jobs.spec.named_attacks import NAMES, find_named
from gauntlet.pipeline.run.plan import Evaluate, Select
from tests.toys.jobs import attacks, plan, problems, write

TARGET = '- {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}'
SURROGATES = """surrogates:
  - {name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}
  - {name: s1, source: "import:tests.toys.jobs:network", options: {seed: 1}}
"""
ONE = """surrogates: {name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}
"""
DEAF = "import:tests.toys.jobs:deaf"


def test_one_surrogate_target_and_attack(tmp_path: Path) -> None:
    whole = plan(tmp_path, (SURROGATES, ONE.replace("{name", "\n  - {name")))
    entry = attacks("")[0]
    alone = plan(
        tmp_path,
        (SURROGATES, ONE),
        (f"  {TARGET}", f"  {TARGET[2:]}"),
        (entry, "attacks: {base: i, epsilon: 8/255, steps: 2}\n"),
    )
    assert alone == whole


def test_one_source_as_text(tmp_path: Path) -> None:
    found = plan(tmp_path, (f"\n  {TARGET}", f" {DEAF}"))
    assert [spec.source for spec in found.targets] == [DEAF]


def test_one_value_of_every_other_list(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        ("task:", "select: {correct: s0}\nevaluate: {steps: 1, interactions: {grid: 4, orders: 1}}"
                  "\ntask:"),
        attacks("  grid: {base: mi, combine: [ens, rgea]}\n  surrogates: s1\n  steps: 2"),
    )  # fmt: skip
    assert found.select.correct == ("s0",)
    assert found.evaluate.steps == (1,)
    assert found.evaluate.interactions is not None
    assert found.evaluate.interactions.orders == (1,)
    assert [attack.combine for attack in found.attacks] == ["ens", "rgea"]
    assert {attack.surrogates for attack in found.attacks} == {("s1",)}


def test_words_with_a_meaning_of_their_own_keep_it() -> None:
    assert Select(correct="surrogates").correct == "surrogates"
    assert Evaluate(steps="all").steps == "all"
    assert Attack(surrogates="a").surrogates == ("a",)


def test_one_value_of_each_axis_is_one_attack(tmp_path: Path) -> None:
    entry = "  grid: {base: mi, surrogates: [s0, s1], combine: {combine: rgea, step_size: eps/4}}"
    found = plan(tmp_path, attacks(entry))
    assert [attack.surrogates for attack in found.attacks] == [("s0",), ("s1",)]
    assert {attack.step_size for attack in found.attacks} == {"eps/4"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (f"\n  {TARGET}", " 5", "job.yaml:7: targets: expected a source such as"),
        (
            f"\n  {TARGET}",
            f" {{source: {DEAF}, nmae: x}}",
            "job.yaml:7: targets.nmae: unknown key 'nmae'",
        ),
        (f"\n  {TARGET}", " []", "job.yaml:7: targets: expected a list of at least 1"),
        ("base: i", "base: i, surrogates: s9", "attacks[0].surrogates"),
        ("task:", "evaluate: {steps: true}\ntask:", "evaluate.steps: expected a number, got true"),
        ("task:", "evaluate: {steps: 0}\ntask:", "evaluate.steps: "),
    ],
)
def test_a_wrong_entry_is_reported_where_it_stands(
    tmp_path: Path, old: str, new: str, what: str
) -> None:
    found = problems(tmp_path, (old, new))
    assert any(what in problem for problem in found), found
    assert not any("[0][0]" in problem or "targets[0]" in problem for problem in found)


def test_a_position_in_what_is_no_list_is_told(tmp_path: Path) -> None:
    job = write(tmp_path, (f"  {TARGET}", f"  {TARGET[2:]}"))
    with pytest.raises(ValueError, match=r"targets is one mapping; write targets\.name=\.\.\."):
        load(job, ["targets.0.name=x"])
    assert load(job, ["targets.name=x"]).targets[0].name == "x"


@pytest.mark.parametrize(
    ("entry", "place", "what"),
    [
        ("- {base: MI-FGSM}", "attacks[0].base", "'MI-FGSM' is written `{base: mi}`"),
        ("- {base: mifgsm}", "attacks[0].base", "'mifgsm' is written `{base: mi}`"),
        ("- {base: VMI-FGSM}", "attacks[0].base", "'VMI-FGSM' is not offered: carries"),
        ("- MI-FGSM", "attacks[0]", "'MI-FGSM' is written `{base: mi}`"),
        ("- mi", "attacks[0]", "expected a mapping such as `{base: mi}`, got 'mi'"),
        ("- {combine: Ens-MI}", "attacks[0].combine", "'Ens-MI' is written `{base: mi, combine: "),
        ("- {objective: FIA}", "attacks[0].objective", "'FIA' is written `{base: mi, objective: "),
        ("- {combine: RGEA}", "attacks[0].combine", "did you mean 'rgea'"),
        ("- {base: logit}", "attacks[0].base", "'logit' belongs to `objective`: write `objective:"),
        ("- {base: rgea}", "attacks[0].base", "'rgea' belongs to `combine`: write `combine: rgea`"),
        ("- {combine: mi}", "attacks[0].combine", "'mi' belongs to `base`: write `base: mi`"),
        ("grid: {base: [DIM, i]}", "attacks.grid.base[0]", "'DIM' is written `{base: di-mi}`"),
        ("grid: {base: DIM}", "attacks.grid.base", "'DIM' is written `{base: di-mi}`"),
    ],
)
def test_a_usual_name_says_how_it_is_written(
    tmp_path: Path, entry: str, place: str, what: str
) -> None:
    (found,) = problems(tmp_path, attacks(f"  {entry}"))
    assert found.startswith(f"job.yaml:10: {place}: ")
    assert what in found


def test_every_name_is_found_however_it_is_written() -> None:
    for known in NAMES:
        for name in known.names:
            for spelling in (name, name.upper(), name.replace("-", "_"), name.replace("-", "")):
                assert find_named(spelling) is known
    assert find_named("") is None


def test_errors_have_no_address_of_another_library() -> None:
    with pytest.raises(ValueError, match="bse") as caught:
        Attack(bse="mi")  # type: ignore[call-arg]
    assert "http" not in str(caught.value)
