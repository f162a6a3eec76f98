"""Verdicts on images of any origin are a run's verdicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from gauntlet import Attack, adapt, evaluate, run
from gauntlet.pipeline.evaluation.verification import best_threshold
from gauntlet.pipeline.results.schema import TABLES
from tests.toys.runs import QUICKSTART, job, network

IMAGES = torch.linspace(0, 1, 6 * 48).reshape(6, 3, 4, 4)
LABELS = torch.arange(6) % 4
CHANGED = (IMAGES + 0.1).clamp(0, 1)


def net(seed: int = 0, outputs: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, outputs)).eval()


def test_a_run_s_images_are_given_the_run_s_verdicts(tmp_path: Path) -> None:
    recipe = Attack(base="pgd-mi", combine="rgea", steps=2)
    of_run = job(
        attacks=[recipe],
        select={"limit": 8},
        targets=[network("wide"), network("plain") | {"name": "known", "white_box": True}],
    )
    made = run(of_run, tmp_path / "run", progress=False)
    expected = made.verdicts
    ids = expected["example"][expected["target"].eq("wide")].tolist()
    data = np.load(QUICKSTART / "shapes.npz")
    rows = [int(example.rpartition("/")[2]) for example in ids]
    clean = torch.from_numpy(data["images"][rows]).permute(0, 3, 1, 2)
    found = evaluate(
        {"known": "quickstart/plain", "wide": "quickstart/wide"},
        clean.double().div(255).float(),
        torch.from_numpy(data["labels"][rows]).long(),
        made.images(ids, recipe.label),
        surrogates=["quickstart/plain", "quickstart/separable"],
        attack=recipe,
        ids=ids,
    )
    assert found["white_box"].tolist() == [True] * 8 + [False] * 8
    pd.testing.assert_frame_equal(
        found.drop(columns="unit"), expected.drop(columns="unit"), rtol=1e-5, atol=1e-5
    )


def test_rows_are_by_target_and_position_and_a_name_claims_nothing_else() -> None:
    found = evaluate([net(1), adapt(net(2), name="mine")], IMAGES, LABELS, CHANGED)
    assert [*found.columns] == TABLES["verdicts"].names
    assert found["target"].tolist() == ["target-0"] * 6 + ["mine"] * 6
    assert found["example"].tolist() == [*map(str, range(6))] * 2
    assert found["attack"].eq("mine").all()
    assert (found[["base", "rule", "norm"]] == "").all(axis=None)
    assert found[["epsilon", "step_size"]].isna().all(axis=None)
    assert found["linf"].tolist() == pytest.approx([25.5] * 12, abs=13)
    margin = net(1)(CHANGED)
    own = margin.gather(1, LABELS[:, None])[:, 0]
    others = margin.scatter(1, LABELS[:, None], -torch.inf).amax(1)
    assert found["score"][:6].tolist() == pytest.approx((others - own).tolist(), abs=1e-5)
    assert found["success"][:6].tolist() == (margin.argmax(1) != LABELS).double().tolist()


def test_a_targeted_attack_is_right_or_wrong_about_the_true_classes() -> None:
    wanted = (LABELS + 1) % 4
    unknown = evaluate([net()], IMAGES, wanted, CHANGED, goal="targeted")
    assert unknown["clean_correct"].isna().all()
    known = evaluate([net()], IMAGES, wanted, CHANGED, goal="targeted", true_labels=LABELS)
    assert known["clean_correct"].tolist() == (net()(IMAGES).argmax(1) == LABELS).tolist()
    assert known["success"].tolist() == (net()(CHANGED).argmax(1) == wanted).double().tolist()


def test_thresholds_of_faces_are_given_or_found_on_pairs() -> None:
    face, references = net(3, 8), IMAGES.flip(0)
    given = evaluate([face], IMAGES, references, CHANGED, goal="dodging", threshold=0.25)
    assert given["threshold"].eq(0.25).all()
    draws = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 24, 3, 4, 4, generator=draws)
    same = torch.arange(24) % 3 == 0
    pairs = (first, second, same)
    found = evaluate([face], IMAGES, references, CHANGED, goal="dodging", pairs=pairs)
    cosines = torch.cosine_similarity(face(first).double(), face(second).double()).detach()
    expected = best_threshold(cosines.numpy(), same.numpy())
    assert found["threshold"].tolist() == pytest.approx([expected] * 6, abs=1e-6)
    with pytest.raises(ValueError, match="'target-0' has no threshold: give threshold= or pairs="):
        evaluate([face], IMAGES, references, CHANGED, goal="dodging")
    other = {"target-1": 0.1}
    with pytest.raises(ValueError, match="unknown target 'target-1'; did you mean 'target-0'"):
        evaluate([face], IMAGES, references, CHANGED, goal="dodging", threshold=other)


def test_several_rules_judge_at_once() -> None:
    face, references = net(3, 8), IMAGES.flip(0)
    draws = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 24, 3, 4, 4, generator=draws)
    pairs = (first, second, torch.arange(24) % 3 == 0)  # 16 of different people: enough for 0.3
    rules: list[Any] = ["accuracy", {"far": 0.3}]

    def judged(**how: Any) -> pd.DataFrame:
        return evaluate(
            [face], IMAGES, references, CHANGED, goal="impersonation", pairs=pairs, **how
        )

    both, alone, given = (
        judged(rules=rules), judged(rules={"far": 0.3}), judged(rules=rules, threshold=0.25)
    )  # fmt: skip
    names = ("threshold", "success", "clean_success", "clean_correct")
    assert [*both.columns] == [*TABLES["verdicts"].names, *(f"{name}_far_0.3" for name in names)]
    pd.testing.assert_frame_equal(both[TABLES["verdicts"].names], judged())
    for name in names:
        assert both[f"{name}_far_0.3"].tolist() == alone[name].tolist()
        assert both[f"{name}_far_0.3"].tolist() == given[f"{name}_far_0.3"].tolist()
    assert [set(frame["threshold_rule"]) for frame in (both, alone, given)] == [
        {"accuracy"}, {"far_0.3"}, {"given"}
    ]  # fmt: skip
    cosines = torch.cosine_similarity(face(first).double(), face(second).double())[~pairs[2]]
    assert (cosines > both["threshold_far_0.3"][0] + 1e-6).sum() == 4  # of 16: five were too many
    none = evaluate(
        [face], IMAGES[:0], IMAGES[:0], CHANGED[:0], goal="dodging", pairs=pairs, rules=rules
    )
    assert [*none.columns] == [*both.columns]
    with pytest.raises(ValueError, match="rule accuracy is listed twice"):
        judged(rules=["accuracy", "accuracy"])
    with pytest.raises(ValueError, match=r"0\.01 needs 368 pairs of different people or more"):
        judged(rules={"far": 0.01})


def test_a_target_in_training_mode_judges_in_eval_mode_and_is_left_in_its_own() -> None:
    asleep = nn.Sequential(nn.Dropout(0.9), *net(0).children())
    with pytest.warns(UserWarning, match="in training mode: target-1; judged"):
        evaluate([net(0), asleep], IMAGES, LABELS, CHANGED)
    with pytest.warns(UserWarning, match="in training mode: mine; judged in eval mode, in a copy"):
        found = evaluate({"mine": asleep}, IMAGES, LABELS, CHANGED)
    assert asleep.training
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        awake = evaluate({"mine": net(0)}, IMAGES, LABELS, CHANGED)
    pd.testing.assert_frame_equal(found, awake)


def _infinite(images: Tensor) -> Tensor:
    return net()(images) * (images[:, 0, 0, :1] < 0.5).float().log().neg()


def _nan(images: Tensor) -> Tensor:
    broken = images.clone()
    broken[2, 0, 0, 0] = torch.nan
    return broken


def test_no_images_have_no_verdicts() -> None:
    none = evaluate([net()], IMAGES[:0], LABELS[:0], CHANGED[:0])
    assert (len(none), [*none.columns]) == (0, TABLES["verdicts"].names)
    faces = evaluate([net()], IMAGES[:0], IMAGES[:0], CHANGED[:0], goal="dodging", threshold=0.2)
    assert faces.empty


def test_networks_and_names_may_come_as_people_have_them() -> None:
    expected = evaluate([net(1), net(2)], IMAGES, LABELS, CHANGED)
    yielded: Any = (each for each in (net(1), net(2)))
    numbers: Any = np.arange(6)
    pd.testing.assert_frame_equal(evaluate(yielded, IMAGES, LABELS, CHANGED, ids=numbers), expected)
    named = evaluate({"my-surrogate/r18": net()}, IMAGES, LABELS, CHANGED)
    assert named["surrogates"].eq("").all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"ids": [None, *"abcde"]}, "ids must be texts or whole numbers, got NoneType"),
        ({"targets": {1: net()}}, r"the names of targets must be texts, got 1 \(int\)"),
    ],
)
def test_what_is_of_another_type_is_refused_in_a_line(call: dict[str, Any], message: str) -> None:
    arguments: Any = {"targets": [net()]} | call
    with pytest.raises(TypeError, match=f"^{message}$"):
        evaluate(images=IMAGES, labels=LABELS, adversarial=CHANGED, **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate([net()], IMAGES, LABELS[:5], CHANGED), "labels has 5 rows for 6 exam"),
        (
            lambda: evaluate([net()], IMAGES, LABELS, CHANGED[:5]),
            r"adversarial has shape \(5, 3, 4, 4\), the images \(6, 3, 4, 4\): one result",
        ),
        (
            lambda: evaluate([net()], IMAGES, LABELS, CHANGED * 255),
            r"adversarial must be in \[0, 1\], got \[.*\]; divide 0..255 by 255",
        ),
        (
            lambda: evaluate([net()], IMAGES * 3 - 1, LABELS, CHANGED),
            r"images must be in \[0, 1\], got \[-1, 2\]; put the normalisation into the model",
        ),
        (
            lambda: evaluate([net()], IMAGES, LABELS, (CHANGED * 255).byte()),
            r"adversarial must be floating point in \[0, 1\], got torch.uint8",
        ),
        (
            lambda: evaluate([net()], IMAGES, LABELS, _nan(CHANGED)),
            "adversarial: 1 of 6 are not finite, the first in row 2",
        ),
        (
            lambda: evaluate([net()], IMAGES, LABELS, CHANGED.to("meta")),
            "adversarial are on the device `meta`, which holds no pixels",
        ),
        (
            lambda: evaluate({"small": net(0, 3)}, IMAGES, LABELS, CHANGED),
            "example '3' has class 3; model 'small' has 3, from 0",
        ),
        (
            lambda: evaluate([net(0), net(1), net(2, 7)], IMAGES, LABELS, CHANGED),
            "targets must have the same classes, in one order: 'target-0' has 4, 'target-2' has 7",
        ),
        (
            lambda: evaluate([nn.Linear(100, 10).eval()], IMAGES, LABELS, CHANGED),
            r"target 'target-0' cannot judge images of shape \(3, 4, 4\): mat1 and mat2",
        ),
        (
            lambda: evaluate([_infinite], IMAGES, LABELS, CHANGED),
            "verdicts cannot be given; the first, example '3': target 'target-0': outputs on the "
            "clean image are not finite",
        ),
        (
            lambda: evaluate([adapt(net())], IMAGES, IMAGES, CHANGED, goal="dodging"),
            "'model' is a classification model; the goal 'dodging' wants verification",
        ),
        (lambda: evaluate([], IMAGES, LABELS, CHANGED), "no targets"),
        (
            lambda: evaluate(["quickstart/wid"], IMAGES, LABELS, CHANGED),
            "unknown network of the quickstart 'wid'; did you mean 'wide'",
        ),
        (lambda: evaluate([net()], IMAGES, LABELS, CHANGED, threshold=0.1), "have no threshold"),
        (
            lambda: evaluate([net()], IMAGES, LABELS, CHANGED, attack=Attack(surrogates=("q",))),
            "surrogate 'q', which is not among surrogates=; given: none",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
