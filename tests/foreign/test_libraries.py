from __future__ import annotations

import importlib.util
import random
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gauntlet.actors.launch import launch
from gauntlet.jobs.reports.notes import excess_words
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline import results
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.foreign.libraries import PIP, attacked, own_files
from gauntlet.pipeline.models.sources.permission import NOTHING
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.records import manifest
from gauntlet.pipeline.run.rehearsal import stand_in
from tests.toys import runs
from tests.toys.jobs import attacks, plan, problems, write

KEYS = ["example", "target"]


def theirs(name: str, more: str = "", ours: str = "") -> tuple[str, str]:
    return attacks(f'  - {{name: theirs, source: "tests.toys.theirs:{name}"{more}}}{ours}')


def carried_out(folder: Path, *changes: tuple[str, str], name: str = "run") -> str:
    loaded = open_job(write(folder, *changes))
    launch(loaded.plan, str(folder / name), permission=loaded.permission)
    return str(folder / name)


def test_a_function_is_judged_beside_the_same_attack_of_ours(tmp_path: Path) -> None:
    """One step of the sign of the mean logits' gradient, on the same surrogates and targets."""
    ours = "\n  - {name: ours, base: i, steps: 1, step_size: eps, combine: ens-logits}"
    run = carried_out(tmp_path, theirs("fgsm", ours=ours))
    found = results.read(run, "verdicts")
    mine, other = (
        found[found.attack == name].sort_values(KEYS).reset_index() for name in ("ours", "theirs")
    )
    same = ["success", "prediction", "linf", "clean_score", "clean_correct", "surrogates"]
    assert mine[same].equals(other[same])
    np.testing.assert_allclose(mine.score, other.score, atol=0.05)
    assert set(other.base) == {"tests.toys.theirs:fgsm"}
    assert set(other.rule) == {"foreign"}
    assert manifest(RunFolder(run)).excess == {"theirs": 0.0}


def test_options_surrogates_and_excess(tmp_path: Path) -> None:
    """One surrogate; three times the budget, which is clipped and said."""
    run = carried_out(
        tmp_path, theirs("fgsm", ", epsilon: 4/255, options: {eps: 0.0470588}, surrogates: s1")
    )
    found = results.read(run, "verdicts")
    assert set(found.surrogates) == {"s1"}
    assert found.linf.max() == 4
    record = Record.read(RunFolder(run))
    assert record is not None
    assert record.excess["theirs"] == pytest.approx(8, abs=0.01)
    (line,) = excess_words(record)
    assert line.startswith("theirs is foreign: its images had left the ball by up to 8 8-bit")


@pytest.mark.parametrize("drawing", ["noisy", "pythons"])
def test_their_random_numbers_are_seeded_and_ours_left_alone(tmp_path: Path, drawing: str) -> None:
    runs_of_it = []
    for number in range(2):
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(number)
        before = random.getstate()
        runs_of_it.append(carried_out(tmp_path, theirs(drawing), name=f"run-{number}"))
        assert random.getstate() == before
    first, second = (results.read(run, "examples").sort_values("example") for run in runs_of_it)
    assert list(first.image) == list(second.image)
    assert first.linf.min() > 0


def test_each_of_several_seeds_draws_its_own(tmp_path: Path) -> None:
    both = results.read(
        carried_out(tmp_path, theirs("noisy"), ("data:", "seeds: [0, 7]\ndata:")), "examples"
    )
    alone = results.read(
        carried_out(tmp_path, theirs("noisy"), ("data:", "seed: 7\ndata:"), name="alone"),
        "examples",
    )
    by_seed = {seed: list(rows.sort_values("example").image) for seed, rows in both.groupby("seed")}
    assert by_seed[7] == list(alone.sort_values("example").image)
    assert by_seed[0] != by_seed[7]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("smaller", "returned shape (4, 3, 7, 8), expected (4, 3, 8, 8)"),
        ("levels", "expected [0, 1]: divide by 255"),
        ("normalised", "expected [0, 1]: other units, or normalised"),
        ("leaving", "RuntimeError: tests.toys.theirs:leaving would exit (no GPU)"),
        ("nothing", "returned NoneType, expected a tensor of images"),
    ],
)
def test_what_is_no_result_is_a_failure_with_its_reason(
    tmp_path: Path, name: str, said: str
) -> None:
    lost = results.read(carried_out(tmp_path, theirs(name)), "failures")
    assert said in lost.reason.iloc[0]


def test_an_image_that_is_not_finite_is_lost_alone(tmp_path: Path) -> None:
    run = carried_out(tmp_path, theirs("hole"))
    lost = results.read(run, "failures")
    assert set(lost.example) == {"images/0", "images/4"}  # the first of each batch
    assert "the foreign image is not finite" in lost.reason.iloc[0]
    assert len(results.read(run, "verdicts")) == 6


def test_what_it_does_to_a_network_reaches_no_other_attack(tmp_path: Path) -> None:
    """Hooks, weights and torch's default type: ours, which comes after it, has the same rows."""
    ours = "  - {name: ours, base: mi, steps: 2}"
    alone = results.read(carried_out(tmp_path, attacks(ours), name="alone"), "verdicts")
    other = '  - {name: theirs, source: "tests.toys.theirs:vandal"}\n'
    both = results.read(carried_out(tmp_path, attacks(other + ours), name="both"), "verdicts")
    assert torch.get_default_dtype() == torch.float32
    first, second = (
        table[table.attack == "ours"].sort_values(KEYS).reset_index() for table in (alone, both)
    )
    assert list(first.score) == list(second.score)


def test_an_l2_budget_is_the_ball_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries mean the norm of the whole image, where a job may mean a pixel's share of it."""
    given: dict[str, object] = {}

    class PGDL2:
        def __init__(self, model: nn.Module, eps: float = 1.0) -> None:
            given["eps"] = eps

        def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
            return images

    library = types.ModuleType("torchattacks")
    library.PGDL2 = PGDL2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchattacks", library)
    attack = Attack(source="torchattacks:PGDL2", norm="l2", epsilon=0.05)
    batch = stand_in(Goal.UNTARGETED, 2, (8, 8))
    attacked(attack, batch, {"one": nn.Flatten()}, 0, Path(), NOTHING)
    assert given["eps"] == pytest.approx(0.05 * (3 * 8 * 8) ** 0.5)


def test_a_surrogate_that_answers_at_random_is_refused(tmp_path: Path) -> None:
    defended = ("options: {seed: 0}}", "options: {seed: 0}, defence: {kind: resize-pad}}")
    (line,) = problems(tmp_path, theirs("fgsm"), defended)
    assert "'s0' answers at random, by draws that only attacks of parts hand it" in line
    assert plan(tmp_path, theirs("fgsm", ", surrogates: s1"), defended)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (theirs("fgms"), "unknown function of tests.toys.theirs 'fgms'; did you mean 'fgsm'"),
        (theirs("fgsm", ", options: {epz: 1}"), "unknown option 'epz'; did you mean 'eps'"),
        (theirs("fgsm", ", base: mi"), "base has no meaning beside `source`"),
        (theirs("fgsm", ", images: x"), "`source` and `images` exclude each other"),
        (attacks('  - {source: "os:system"}'), "belongs to the standard library; a job runs only"),
        (attacks("  - {images: nowhere}"), "nothing at"),
    ],
)
def test_what_cannot_be_run_is_refused_before(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    (line,) = problems(tmp_path, change)
    assert said in line


def test_pinned_surrogates_are_in_no_one_s_reach(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, theirs("fgsm"), ("in-process", "pinned"))
    assert "needs its surrogates in one process: placement packed, or in-process" in line


LIBRARIES = {
    "torchattacks": 'source: "torchattacks:PGD", options: {alpha: 0.0078431, steps: 10}',
    "foolbox": 'source: "foolbox:LinfPGD", options: {abs_stepsize: 0.0078431, steps: 10}',
    "art": 'source: "art:ProjectedGradientDescent", '
    "options: {eps_step: 0.0078431, max_iter: 10, num_random_init: 1}",
}


@pytest.mark.parametrize(("library", "entry"), LIBRARIES.items(), ids=LIBRARIES)
def test_a_library_that_is_missing_names_its_line(tmp_path: Path, library: str, entry: str) -> None:
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    (line,) = problems(tmp_path, attacks(f"  - {{{entry}}}"))
    assert line.endswith(f"{library} is not installed; {PIP[library]}")


@pytest.mark.slow
@pytest.mark.parametrize(("library", "entry"), LIBRARIES.items(), ids=LIBRARIES)
def test_their_pgd_does_as_ours(tmp_path: Path, library: str, entry: str) -> None:
    """Success on every network within three standard errors of the difference."""
    if not importlib.util.find_spec(library):
        pytest.skip(PIP[library])
    ours = "  - {name: ours, base: pgd, combine: ens-logits, steps: 10, step_size: 2/255}\n"
    import yaml

    listed = yaml.safe_load(f"{ours}  - {{name: theirs, {entry}}}")
    runs.carry_out(tmp_path, "in-process", attacks=listed, select={"limit": 256})
    found = runs.verdicts(tmp_path / "run")
    for _, rows in found.groupby("target"):
        wide = rows.pivot(index="example", columns="attack", values="success")
        differing = wide.ours - wide.theirs
        assert abs(differing.mean()) <= 3 * differing.std() / len(differing) ** 0.5 + 1e-9


CHECKOUT = """
from tests.toys.theirs import fgsm

class Base:
    def __init__(self, model_name, epsilon, targeted, norm, device):
        self.model, self.epsilon, self.norm = self.load_model(model_name), epsilon, norm
        self.targeted = targeted

    def load_model(self, name):
        raise SystemExit("downloads weights")

    def __call__(self, data, label):
        label = label[1] if self.targeted else label
        delta = fgsm(self.model, data, label, 1.0) - data
        if self.norm == "linfty":
            return delta.clamp(-self.epsilon, self.epsilon)
        return delta * self.epsilon / delta.flatten(1).norm(dim=1)[:, None, None, None]

class FGSM(Base):
    def __init__(self, model_name, epsilon=0.06, targeted=False, norm="linfty", device=None):
        super().__init__(model_name, epsilon, targeted, norm, device)
"""
LATER = """
attack_zoo = {"fgsm": (".gradient.fgsm", "FGSM")}

def load_attack_class(name):
    return {"fgsm": FGSM}[name]
"""


@pytest.mark.parametrize("zoo", ['attack_zoo = {"fgsm": FGSM}\n', LATER], ids=["older", "later"])
def test_a_checkout_of_transferattack_is_given_our_model(tmp_path: Path, zoo: str) -> None:
    """Laid out as its classes are: a constructor with a model's name, and a call for delta."""
    package = tmp_path / "checkout" / "transferattack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(CHECKOUT + zoo)
    theirs = attacks(
        '  - {source: "transferattack:fgsm", epsilon: 4/255}\n'
        '  - {source: "transferattack:fgsm", norm: l2, epsilon: 4/255}'
    )
    allowed = [str(tmp_path / "checkout")]
    loaded = open_job(write(tmp_path, theirs), allowed=allowed)
    launch(loaded.plan, str(tmp_path / "run"), permission=loaded.permission)
    frame = results.read(str(tmp_path / "run"), "verdicts").groupby("norm")
    assert set(frame.get_group("linf").linf) == {4}
    assert (frame.get_group("l2").l2 > 2).all()
    excess = manifest(RunFolder(str(tmp_path / "run"))).excess
    assert excess is not None
    assert max(excess.values()) < 0.01  # a sign's step of that length would be clipped
    assert own_files(loaded.plan.attacks, loaded.plan.root, loaded.permission) == 2 * [
        package / "__init__.py"
    ]
    other = attacks('  - {source: "transferattack:fgms", epsilon: 4/255}')
    with pytest.raises(BadInput, match="unknown attack of transferattack 'fgms'; did you mean 'fg"):
        open_job(write(tmp_path, other), allowed=allowed)
