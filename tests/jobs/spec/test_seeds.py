"""Several seeds in a job: who is made again, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gauntlet.jobs.reference.resolved import seed_words
from gauntlet.jobs.spec.loading import of_python
from gauntlet.jobs.spec.seeds import under_seeds
from gauntlet.pipeline.attacks.part import Place, catalogue
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.problems import BadInput
from tests.toys import runs

ATTACKS = [{"base": "mi"}, {"base": "di"}, {"base": "i", "objective": "il"}]


def planned(**changes: Any) -> Any:
    return of_python(runs.job(attacks=ATTACKS, **changes)).plan


def test_what_draws_is_made_under_every_seed_and_the_rest_once() -> None:
    plan = planned(seeds=[3, 1, 2])
    made = [(attack.label, plan.seed_of(attack)) for attack in plan.attacks]
    labels = ["mi/ens/linf-8", "di/ens/linf-8", "i(il)/ens/linf-8"]
    assert made == [(labels[0], 3), *((labels[1], seed) for seed in (3, 1, 2)), (labels[2], 3)]
    assert (plan.seed, plan.seeds) == (3, (3, 1, 2))
    said = "seeds 3, 1, 2: 1 attack is made under each; drawing nothing, once: "
    assert seed_words(plan)[0] == f"{said}{labels[0]}, {labels[2]}"


def test_one_seed_is_the_plan_that_it_was() -> None:
    one, before = planned(seeds=[4]), planned(seed=4)
    assert one == before
    assert one.what == before.what
    assert "seed" not in one.what["attacks"][1]
    assert seed_words(one) == []


def test_a_surrogate_behind_a_random_defence_draws_in_every_attack_on_it() -> None:
    job = runs.job(surrogates=[runs.network("plain", defence="resize-pad"), "quickstart/separable"])
    surrogates = of_python(job).plan.surrogates
    attacks = [Attack(base="mi"), Attack(base="ni", surrogates=["separable"])]
    made = under_seeds(attacks, surrogates, (0, 1))
    assert [(attack.base, attack.seed) for attack in made] == [
        ("mi", None),
        ("mi", 1),
        ("ni", None),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 1], "seed": 0}, "job: seeds: stands in place of `seed`: leave one of them"),
        ({"seeds": [0, 1, 0]}, "job: seeds: the seed 0 is listed twice"),
        ({"seeds": [-1]}, r"job: seeds\[0\]: expected at least 0, got -1"),
        ({"seeds": []}, r"job: seeds: expected a list of at least 1"),
        (
            {"attacks": [{"base": "di", "seed": 2}]},
            r"job: attacks\[0\].seed: is for the whole job: write `seeds` there",
        ),
    ],
)
def test_seeds_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        of_python(runs.job(attacks=ATTACKS) | changes)


def test_parts_that_draw_say_so() -> None:
    drawing = {part.token for part in catalogue() if part.random}
    assert drawing == {
        *("pgd", "di", "vr", "ghost", "rap", "svre", "torchjd", "fi"),
        *("ir", "ir-mean", "ir-closed", "interaction-only"),
    }
    assert all(part.place is not Place.FILTER for part in catalogue() if part.random)
