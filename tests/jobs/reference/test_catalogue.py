"""The list of methods: complete, true, current, and every entry of it can be run."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError
from torch import nn

from gauntlet import Attack
from gauntlet import attack as attack_batch
from gauntlet.jobs.reference import catalogue
from gauntlet.jobs.reference.index import OPEN, PLACES, shipped
from gauntlet.jobs.reference.method_rows import defaults, in_a_job, rows
from gauntlet.jobs.reference.methods_page import markdown
from gauntlet.jobs.reference.renew import COMMAND
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.jobs.spec.named_attacks import NAMES, Named, find_named
from gauntlet.pipeline.attacks.part import Part, Place
from gauntlet.pipeline.attacks.part import catalogue as parts
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.zoo.recipes import RECIPES
from gauntlet.pipeline.problems import BadInput
from tests.jobs.cli.test_run_job import gauntlet

PAGE = Path(__file__).parents[3] / "docs" / "methods.md"
ENTRIES = 3 * 32 * 32

every_part = pytest.mark.parametrize("part", parts(), ids=lambda part: part.token)


def printed(name: str | None, width: int = 140) -> str:
    text = io.StringIO()
    console = Terminal(file=text, width=width)
    if name is None:
        catalogue.print_methods(shipped().methods, console)
    else:
        catalogue.print_method(name, shipped().methods, console)
    return text.getvalue()


def code(text: str) -> str:
    """Return a page without the backslashes of its Markdown."""
    return text.replace("\\", "")


def test_the_page_of_methods_is_up_to_date() -> None:
    assert PAGE.read_text() == markdown(), f"run: {COMMAND}"


def test_the_command_prints_the_page() -> None:
    assert gauntlet("methods", "--markdown").output == markdown()
    refused = gauntlet("methods", "rgea", "--markdown")
    assert refused.exit_code == 2
    assert "--markdown: is the page of all methods; leave out 'rgea'" in refused.stderr


PAPERS = (
    "mi, ni, vr, ti, di, si, sgm, ghost, linbp, aa, fd, il, pi, rap, ia, fi, ir, ens, ens-l2, "
    "svre, mgda, rgea, pgd, i, relaxed, interaction-only, PGD-linf, PGD-l2, "
    "adversarially trained surrogate"
)


@pytest.mark.parametrize("name", PAPERS.split(", "))
def test_every_method_of_the_papers_has_a_row(name: str) -> None:
    (row,) = [row for row in rows() if row.name == name]
    assert row.what
    assert row.cost
    assert row.paper
    cells = [line.strip("| ").split(" | ") for line in code(markdown()).splitlines()]
    assert [line for line in cells if line[0].strip("`") == name and line[-1] == row.paper]


@every_part
def test_a_row_says_everything_briefly(part: type[Part]) -> None:
    (row,) = [row for row in rows() if row.name == part.token and row.place == part.place]
    assert row.paper
    assert row.cost
    assert 10 < len(row.what) < 110
    assert row.what.rstrip(".").count(". ") <= 1


@every_part
def test_defaults_are_the_parts_own(part: type[Part]) -> None:
    written = dict(text.split("=", 1) for text in defaults(part))
    if "(required)" in written.values():
        with pytest.raises(ValidationError):
            part()
        return
    given: dict[str, object] = {}
    for name, text in written.items():
        outer, _, inner = name.partition(".")
        if inner:
            given.setdefault(outer, {})[inner] = yaml.safe_load(text)  # type: ignore[index]
        elif text != OPEN:
            given[outer] = yaml.safe_load(text)
    assert part.model_validate(given) == part()
    open_ones = {name for name, text in written.items() if text == OPEN}
    assert open_ones == {name for name in part.model_fields if getattr(part(), name) is None}
    assert {name.partition(".")[0] for name in written} == set(part.model_fields)


def test_defaults_are_written_as_in_a_job() -> None:
    shown = {row.name: row.defaults for row in rows()}
    assert shown["mi"] == "mu=1, norm=mabs"
    assert shown["vr"] == "m=20, sigma=15/255"
    assert "low=0.9, high=1," in shown["di"]
    assert shown["rap"].startswith("epsilon_n=16/255, inner=8, step=…")
    assert shown["ens"] == ""


@every_part
def test_the_entry_of_a_part_is_an_attack_with_it(part: type[Part]) -> None:
    (entry,) = yaml.safe_load(in_a_job(part))
    attack = Attack.model_validate(entry)
    objective = [attack.objective] if attack.objective else []
    tokens = [p.token for p in attack.parts] + objective
    assert part.token in tokens
    assert set(entry.get("options", {})) <= {part.token}


@every_part
def test_a_part_is_explained_whole(part: type[Part]) -> None:
    text = " ".join(printed(part.token, width=400).split())
    assert f"passes an update: {part.cost}" in text
    assert f"in a job: {in_a_job(part)}" in text
    for name, field in part.model_fields.items():
        assert f" {name} " in text
        meaning = " ".join((field.description or "").replace("`", "").split())
        assert meaning in text


def test_nested_options_are_explained_too() -> None:
    assert "training.hidden" in printed("fd")
    assert "layer" in printed("fi")


def test_the_list_fits_a_log_of_140_columns() -> None:
    text = printed(None)
    assert max(map(len, text.splitlines())) <= 140
    words = set(re.split(r"\s+", text))
    assert {part.token for part in parts()} <= words
    # No cell of this list may be folded inside a word.
    for row in rows():
        for cell in (row.name, row.what, row.defaults, row.cost, row.needs, row.paper):
            assert set(cell.replace("`", "").split()) <= words, cell


def test_every_place_of_the_loop_is_listed() -> None:
    assert {row.place for row in rows()} == {*Place, None} == set(PLACES)
    text = printed(None)
    for title in ("Start: in base", "Penalty, what", "Methods that are not parts"):
        assert title in text


NAMED = [named for named in NAMES if named.attack]


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named.names[0])
def test_a_named_attack_is_an_attack(named: Named) -> None:
    attack = Attack.model_validate(yaml.safe_load(named.attack))
    possible = []
    for goal in (Goal.UNTARGETED, Goal.TARGETED):
        try:
            possible.append(attack.method(goal, ENTRIES))
        except ValueError:
            continue
    assert possible
    assert all(method.steps == attack.steps for method in possible)


def test_names_are_unique_and_found_in_any_case() -> None:
    names = [name.casefold() for named in NAMES for name in named.names]
    assert len(set(names)) == len(names)
    found = find_named("pgd-L2")
    assert found is not None
    assert yaml.safe_load(found.attack)["norm"] == "l2"
    assert find_named("no such attack") is None
    assert [named.names[0] for named in NAMES if not named.attack] == ["VMI-FGSM"]


def test_names_mean_what_they_say() -> None:
    def made(name: str) -> Attack:
        named = find_named(name)
        assert named is not None
        return Attack.model_validate(yaml.safe_load(named.attack))

    l2 = made("PGD-l2").method(Goal.UNTARGETED, 3 * 224 * 224)
    assert l2.ball.epsilon == pytest.approx(24.34, abs=0.01)
    assert (l2.step_size, l2.normalise) == (2.0, "l2")
    assert made("FGSM").alpha == made("FGSM").epsilon
    assert made("PGD").alpha == pytest.approx(2 / 255)
    assert made("Ens-MI").combine == "ens-logits"
    rap = made("RAP").method(Goal.UNTARGETED, ENTRIES)
    assert rap.points[0].late_start == 0  # type: ignore[attr-defined]
    hybrid = {part.token for part in made("HybridIR").parts}
    assert {"mi", "vr", "sgm", "ir"} <= hybrid
    dpi = next(part for part in made("DI-PI").parts if part.token == "pi")
    assert dpi.gamma == pytest.approx(2.5 * made("DI-PI").alpha / 2, rel=0.03)  # type: ignore[attr-defined]


def test_a_name_is_explained_with_its_entry() -> None:
    text = printed("hybridir")
    assert "- {base: mi-vr-sgm+ir" in text
    assert "not offered" in printed("VMI-FGSM")
    both = printed("SGM")
    assert "Wu 2020" in both
    assert "- {base: sgm}" in both
    assert printed("hybrid-ir") == text
    with pytest.raises(BadInput, match="did you mean 'HybridIR'"):
        printed("hybrid-irr")


def test_a_solver_s_name_is_its_part_s() -> None:
    assert printed("torchjd/upgrad") == printed("torchjd")


def test_an_unknown_method_lists_all_only_without_a_near_one() -> None:
    with pytest.raises(BadInput) as near:
        printed("rega")
    assert "? `gauntlet methods` lists all; " in str(near.value)
    assert str(near.value).endswith("a part of your own: name its file with `--parts`")
    assert "known:" not in str(near.value)
    with pytest.raises(BadInput, match=r"known: .*svre"):
        printed("zzzzzzzz")


def test_the_pages_examples_can_be_run() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", markdown(), re.S)]
    attacks = [Attack.model_validate(entry) for block in blocks for entry in block["attacks"]]
    assert len(attacks) == 3
    surrogates = [ModelSpec.model_validate(e) for b in blocks for e in b.get("surrogates", ())]
    assert {name for attack in attacks for name in attack.surrogates or ()} == {
        model.name for model in surrogates
    }
    assert [RECIPES[model.source[4:]].role for model in surrogates] == ["surrogate", "adversarial"]


def test_the_page_names_every_robust_network(tmp_path: Path) -> None:
    page = markdown()
    robust = [recipe.name for recipe in RECIPES.values() if recipe.adversarial is not None]
    assert robust
    for name in robust:
        assert f"| `zoo/{name}` |" in page
    for source in re.findall(r"`(timm/[^`]+)`", page):
        assert build.check(ModelSpec(name="m", source=source), tmp_path, Task.CLASSIFICATION) == []


def passes_an_update(**attack: object) -> float:
    """Return the images that two surrogates see in one update of one example, each."""
    seen = [0]

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[0] += len(inputs[0])

    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
                  for _ in range(2)]  # fmt: skip
        images, labels = torch.rand(3, 3, 8, 8), torch.arange(3)
    for model in models:
        # The first layer: objectives on features stop the forward pass before the last.
        model.eval()[0].register_forward_pre_hook(count)
    totals = []
    for steps in (2, 5):
        seen[0] = 0
        recipe = Attack.model_validate({"steps": steps, "step_size": 0.01, **attack})
        attack_batch(models, images, labels, recipe)
        totals.append(seen[0])
    return (totals[1] - totals[0]) / (3 * len(images) * len(models))


@pytest.mark.parametrize(
    ("attack", "passes"),
    [
        ({"base": "i"}, 1),
        ({"base": "di-ti-mi", "combine": "rgea"}, 1),
        ({"base": "ni", "combine": "ens-logits"}, 1),
        ({"base": "pi", "combine": "ens"}, 1),
        ({"base": "si"}, 5),
        ({"base": "vr-si"}, 100),
        ({"base": "i", "combine": "svre"}, 5),
        ({"base": "di", "combine": "svre", "options": {"svre": {"draws": "pair"}}}, 9),
        ({"base": "rap", "options": {"rap": {"late_start": 0}}}, 9),
        ({"base": "pgd+ir", "options": {"ir": {"grid": 4}}}, 65),
        ({"base": "pgd-interaction-only", "options": {"interaction-only": {"grid": 4}}}, 65),
        ({"base": "ir-mean", "options": {"ir-mean": {"grid": 2, "samples": 3}}}, 7),
        ({"base": "mi", "objective": "fi", "options": {"fi": {"layer": "1"}}}, 1),
        ({"base": "mi", "objective": "il", "options": {"il": {"layer": "1"}}}, 1),
    ],
    ids=str,
)
def test_costs_are_what_the_loop_asks(attack: dict[str, object], passes: int) -> None:
    assert passes_an_update(**attack) == passes
