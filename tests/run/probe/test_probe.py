from __future__ import annotations

import numpy as np
import pytest

from gauntlet.actors.launch import launch, look
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results
from gauntlet.pipeline.results.manifest import AnswersRecord
from gauntlet.pipeline.run.probe.findings import Refused
from gauntlet.pipeline.run.probe.sample import keyed
from tests.toys import colours
from tests.toys.colours import CLASSES, MEAN, STD, model, plan

TRUE = np.arange(96) % CLASSES
IMAGENET = {"mean": list(MEAN), "std": list(STD)}


def finding(found, name="t0"):
    (one,) = [finding for finding in found.models if finding.name == name]
    return one


def test_a_model_that_is_right_gets_no_word(tmp_path):
    found = look(plan(tmp_path, TRUE))
    assert found.warnings == ()
    assert not found.asks
    assert str(finding(found).accuracy) == "64 of 64 right (100.0 %)"
    assert found.summary() == "clean accuracy on 64 examples: t0 100.0 %, s0 100.0 %"


@pytest.mark.parametrize(
    ("wants", "states", "advice"),
    [
        ("bgr", {}, "`channels: bgr`"),
        ("bytes", {}, "`mean: [0, 0, 0], std: [1/255, 1/255, 1/255]`"),
        ("imagenet", {}, "`mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]`"),
        ("unit", IMAGENET, "`mean: [0, 0, 0], std: [1, 1, 1]`"),
    ],
)
def test_a_misread_input_is_named_with_what_to_write(wants, states, advice, tmp_path):
    found = look(plan(tmp_path, TRUE, targets=[model("t0", wants, **states)]))
    assert found.asks
    (text,) = found.warnings
    assert text.startswith("t0: ")
    fit = finding(found).fits[0]
    assert fit.accuracy.right == fit.accuracy.of
    assert f"write {advice} in the model's entry" in text


def test_labels_from_1_are_found_where_every_class_exists(tmp_path):
    labels = np.arange(96) % (CLASSES - 1) + 1
    path = colours.job(tmp_path, labels)
    images = colours.pictures(colours.palette()[labels - 1])
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    (text,) = look(load(path)).warnings
    assert text == (
        "t0 0.0 %, s0 0.0 % right before any attack, near zero; 64 of 64 right (100.0 %) if the "
        "labels are counted from 1, the network's classes from 0: write `labels_from: 1` in the "
        "data"
    )


@pytest.mark.parametrize("correct", [None, "all"])
def test_labels_that_no_model_has_end_a_run_before_it_begins(correct, tmp_path):
    job = plan(tmp_path, TRUE + 1, select={"correct": correct})
    with pytest.raises(Refused) as caught:
        launch(job, str(tmp_path / "run"))
    (problem,) = caught.value.problems
    assert str(problem) == (
        "data: labels run from 1 to 12, t0, s0 have 12 classes, 0 to 11: 8 of 96 examples have a "
        "class that is not there; 64 of 64 right (100.0 %) if the labels are counted from 1, the "
        "network's classes from 0: write `labels_from: 1` in the data"
    )
    assert not (tmp_path / "run").exists()
    data = {"source": "npz", "path": "images.npz", "labels_from": 1}
    assert not look(plan(tmp_path, TRUE + 1, data=data)).warnings


def test_wanted_classes_that_no_model_has_are_refused(tmp_path):
    data = {"source": "npz", "path": "images.npz", "classes": 20, "wanted": "random"}
    task = {"kind": "classification", "goal": "targeted"}
    with pytest.raises(Refused, match=r"data.wanted: wanted classes run to 1\d, .*`classes: 12`"):
        look(plan(tmp_path, TRUE, data=data, task=task))


def test_the_true_class_counts_whatever_is_wanted(tmp_path):
    task = {"kind": "classification", "goal": "targeted"}
    found = look(plan(tmp_path, TRUE, task=task))
    assert finding(found).accuracy.rate == 1
    assert not found.warnings


def test_a_background_class_is_found(tmp_path):
    found = look(plan(tmp_path, TRUE, targets=[model("t0", extra=1)]))
    (text,) = found.warnings
    assert "class 0 is none of the data's" in text
    assert finding(found).accuracy.classes == CLASSES + 1


def test_numbers_in_the_order_of_text_are_found(tmp_path):
    order = np.array(sorted(range(CLASSES), key=str))
    place = np.argsort(order)
    found = look(plan(tmp_path, place[TRUE]))
    assert "sorted as text" in found.warnings[0]
    assert finding(found).fits[0].accuracy.rate == 1


def test_one_label_for_all_points_to_the_folder(tmp_path):
    texts = look(plan(tmp_path, 0 * TRUE)).warnings
    assert texts[-1] == (
        "all 96 examples have label 0, and a model sees 12 classes in them: is the folder of the "
        "images one level too high?"
    )
    assert not any("labels_from" in text or "write" in text for text in texts)


def test_what_nothing_explains_says_what_was_tried(tmp_path):
    labels = (5 * TRUE + 3) % CLASSES
    assert not (labels == TRUE).any()
    (text,) = look(plan(tmp_path, labels)).warnings
    assert "none of the usual causes explains it (labels from 1" in text


def test_a_robust_or_defended_model_is_told_of_and_not_asked_about(tmp_path):
    wrong = model("bare", "bgr")
    found = look(
        plan(
            tmp_path,
            TRUE,
            targets=[
                wrong | {"name": "robust", "adversarial": True},
                wrong | {"name": "behind", "defence": {"kind": "jpeg"}},
                model("random", defence={"kind": "resize-pad"}),
            ],
        )
    )
    told = " ".join(found.warnings)
    assert "robust: " in told
    assert "(adversarially trained)" in told
    assert "(behind jpeg)" in told
    assert "random" not in told
    assert not found.asks


def test_a_model_that_cannot_look_at_the_images_is_named(tmp_path):
    bad = {"name": "bad", "source": "import:tests.toys.colours:of_whole_batches"}
    (text,) = look(plan(tmp_path, TRUE, targets=[model("t0"), bad])).warnings
    assert text.startswith("bad: cannot look at the clean images: TypeError: model 'bad': expected")


def test_two_classes_are_no_chance_and_few_examples_are_all_taken(tmp_path):
    found = look(plan(tmp_path, TRUE[:5]))
    assert finding(found).accuracy.of == 5
    assert not found.warnings


def test_the_sample_is_keyed_by_seed_and_name_alone():
    names = [f"archive/{index}" for index in range(500)]
    first = [names[position] for position in keyed(names, 3, 64)]
    assert first == [names[::-1][position] for position in keyed(names[::-1], 3, 64)]
    assert first == [names[position] for position in keyed(names, 3, 256)][:64]
    assert first != [names[position] for position in keyed(names, 4, 64)]


def test_a_run_says_it_in_its_manifest_and_goes_on(tmp_path):
    job = plan(tmp_path, TRUE[:24], targets=[model("t0", "bgr")])
    assert launch(job, str(tmp_path / "run")).units_failed == 0
    record = results.manifest(str(tmp_path / "run")).probe
    assert record is not None
    assert record.models["s0"] == AnswersRecord(right=24, of=24, classes=CLASSES)
    assert len(record.warnings) == 1
    assert "`channels: bgr`" in record.warnings[0]


def test_who_decides_may_end_a_run_and_no_folder_is_left(tmp_path):
    def no(found):
        raise Refused([])

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("")
    for name in ("run", "new"):
        with pytest.raises(Refused):
            launch(plan(tmp_path, TRUE), str(tmp_path / name), decide=no)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
    assert not (tmp_path / "new").exists()


# -- verification ------------------------------------------------------------------------------


def faces(folder, threshold=None, same=None, **more):
    """Return a plan of 80 pairs of 40 people, each a colour."""
    people = np.random.default_rng(0).uniform(0.1, 0.9, (40, 3))
    np.savez(folder / "faces.npz", images=colours.pictures(np.repeat(people, 2, axis=0)))
    rows = [(2 * i, 2 * i + 1, 1) for i in range(40)]
    rows += [(2 * i, (2 * i + 2) % 80, 0) for i in range(40)]
    rows = [rows[row] for i in range(40) for row in (i, 40 + i)]
    lines = [f"{a},{b},{flag if same is None else 1 - flag}" for a, b, flag in rows]
    (folder / "pairs.csv").write_text("index_a,index_b,same\n" + "\n".join(lines))
    network = {"source": "import:tests.toys.colours:embedding", **more}
    fixed = {} if threshold is None else {"threshold": threshold}
    return plan(
        folder,
        TRUE,
        task={"kind": "verification", "goal": "impersonation"},
        data={"source": "pairs", "images": "faces.npz", "pairs": "pairs.csv", "limit": 4},
        surrogates=[{"name": "s0", **network, **fixed}],
        targets=[{"name": "t0", **network, **fixed, "white_box": True}],
    )


def test_a_verification_model_that_tells_faces_gets_no_word(tmp_path):
    found = look(faces(tmp_path))
    assert finding(found).accuracy.rate > 0.9
    assert found.warnings == ()


def test_a_misread_face_is_found_in_pairs(tmp_path):
    found = look(faces(tmp_path, mean=[-100, -100, -100]))
    assert finding(found).accuracy.rate < 0.6
    (text,) = found.warnings
    assert "near chance, which is 50 %" in text
    assert "it normalises by itself" in text
    assert "mean: [0, 0, 0], std: [1, 1, 1]" in text


def test_exchanged_pairs_and_a_wrong_threshold_are_found(tmp_path):
    (text,) = look(faces(tmp_path, same="exchanged")).warnings
    assert "exchange 1 and 0 in the list of pairs" in text
    (text,) = look(faces(tmp_path, threshold=-1)).warnings
    assert "leave `threshold` out" in text


def test_what_the_search_for_thresholds_knows_is_not_asked_again(tmp_path):
    run = str(tmp_path / "run")
    launch(faces(tmp_path), run)
    record = results.manifest(run)
    assert record.thresholds is not None
    entry = record.thresholds["t0"]
    assert entry.pairs == 80
    assert entry.accuracy_at_threshold is not None
    right = round(entry.accuracy_at_threshold * 80)
    assert record.probe is not None
    assert record.probe.models["t0"] == AnswersRecord(right=right, of=80, classes=None)
