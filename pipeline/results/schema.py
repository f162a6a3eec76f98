"""The tables of a run: columns, units, meanings. They travel in the Parquet files themselves."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa


def _column(name: str, kind: pa.DataType, meaning: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


_TEXT, _REAL, _COUNT, _FLAG = pa.string(), pa.float64(), pa.int32(), pa.bool_()

_SEED = _column(
    "seed",
    pa.int64(),
    "keys the attack's draws; of several, the first for an attack that draws nothing",
    True,
)
"""Empty in runs of earlier versions, which had one each."""
_ATTACK = [
    _column("example", _TEXT, "stable id of the attacked image or pair"),
    _column("task", _TEXT, "classification, verification or embedding"),
    _column("goal", _TEXT, "untargeted, targeted, impersonation or dodging"),
    _column("attack", _TEXT, "label of the attack, unique within the run but for `seed`"),
    _SEED,
    _column(
        "base",
        _TEXT,
        "its base: the parts besides the combination rule, such as "
        "di-ti-mi; of a foreign attack its source, or images",
    ),
    _column("rule", _TEXT, "its combination rule, such as rgea; foreign for what others made"),
    _column("surrogates", _TEXT, "names of the surrogates, joined by +"),
    _column("norm", _TEXT, "norm of the budget: linf or l2"),
    _column("epsilon", _REAL, "budget as the job states it, 8-bit steps (255 times [0, 1] units)"),
    _column("steps", _COUNT, "updates T of the attack"),
    _column("step_size", _REAL, "alpha, 8-bit steps"),
]
_DISTANCE = [
    _column("linf", _REAL, "largest change of a pixel, 8-bit steps, on the evaluated image"),
    _column("l2", _REAL, "root mean square change, |d|_2 / sqrt(3HW), 8-bit steps"),
]

EXAMPLES = pa.schema(
    [
        *_ATTACK,
        *_DISTANCE,
        _column(
            "unmoved",
            _TEXT,
            "why the image equals the clean one: zero gradient (at every update), below one level "
            "(rounding took the change back), zero budget, no update, steps led nowhere; empty "
            "where it does not",
            True,
        ),
        _column("height", _COUNT, "height of the image, pixels", True),
        _column("width", _COUNT, "width of the image, pixels", True),
        _column("dtype", _TEXT, "uint8 (8-bit steps) or float32 ([0, 1]) of `image`", True),
        _column("image", pa.binary(), "adversarial image, raw, height x width x 3, RGB", True),
        _column("unit", _TEXT, "unit of work that wrote the row"),
    ]
)

VERDICTS = pa.schema(
    [
        *_ATTACK,
        _column("target", _TEXT, "name of the target model"),
        _column("group", _TEXT, "group of the target: normal, transform, white-box, ..."),
        _column("white_box", _FLAG, "whether the target is one of this attack's surrogates"),
        _column("step", _COUNT, "the update after which the image was evaluated, 1..T"),
        _column("success", _REAL, "share of the evaluations that succeeded: 0 or 1 if repeats = 1"),
        _column("success_std", _REAL, "standard deviation over the repeats; 0 if repeats = 1"),
        _column(
            "score",
            _REAL,
            "classification: the attacker's logit margin (> 0 succeeds); else the cosine to the "
            "second image (impersonation: above `threshold` succeeds; dodging: below)",
        ),
        _column("score_std", _REAL, "standard deviation over the repeats; 0 if repeats = 1"),
        _column(
            "threshold",
            _REAL,
            "verification: cosine threshold; embedding: the cosine of the job or, by rank, the "
            "one of the image of others that has the rank asked for; classification: 0",
        ),
        _column(
            "threshold_rule",
            _TEXT,
            "the rule of `threshold`, `success` and the clean columns: verification: accuracy, "
            "far_0.01 (false-accept rate), given (in the model's entry); embedding by cosine: "
            "given; by rank none",
            True,
        ),
        _column(
            "rank",
            _REAL,
            "embedding, by rank: place of the second image among the gallery's images of others, "
            "from 1, ties against the attacker; mean over the repeats",
            True,
        ),
        _column("clean_score", _REAL, "the same score of the clean image"),
        _column("clean_success", _REAL, "the same success rate of the clean image"),
        _column(
            "clean_correct",
            _FLAG,
            "whether the target was right before the attack: the true class, or the right side of "
            "the threshold (impersonation: not above; dodging: not below)",
            True,
        ),
        _column("clean_accepted", _FLAG, "verification: whether the clean pair was accepted", True),
        _column("prediction", _COUNT, "classification: class predicted for the image", True),
        _column("repeats", _COUNT, "evaluations of a randomised target"),
        *_DISTANCE,
        _column("unit", _TEXT, "unit of work that wrote the row"),
    ]
)

TRACES = pa.schema(
    [
        _column("example", _TEXT, "stable id of the attacked image or pair"),
        _column("attack", _TEXT, "label of the attack"),
        _SEED,
        _column("step", _COUNT, "update 1..T"),
        _column("losses", pa.list_(_REAL), "objective of each surrogate before the update"),
        _column("weights", pa.list_(_REAL), "weight of each surrogate; NaN if the rule has none"),
        _column("linf", _REAL, "largest change of a pixel after the update, 8-bit steps"),
        _column("l2", _REAL, "root mean square change after the update, 8-bit steps"),
        _column("fallback", _FLAG, "whether the rule fell back to Ens-l2 in this update"),
        _column("unit", _TEXT, "unit of work that wrote the row"),
    ]
)

INTERACTIONS = pa.schema(
    [
        *_ATTACK,
        _column("surrogate", _TEXT, "name of the surrogate that the interaction is measured on"),
        _column("grid", _TEXT, "cells that interact, rows x columns"),
        _column("utility", _TEXT, "what a set of cells is worth: loss, margin, ..."),
        _column("estimator", _TEXT, "exact: every cell; sampled: some cells"),
        _column("samples", _COUNT, "cells that the mean is made from"),
        _column("interaction", _REAL, "mean of I_ab over ordered pairs of cells"),
        _column("standard_error", _REAL, "sampling error of `interaction`; 0 if exact"),
        _column("total", _REAL, "v(Omega): utility of the whole perturbation"),
        _column("empty", _REAL, "v(empty): utility of the clean image; 0 for a gain"),
        _column(
            "closed_form",
            _REAL,
            "delta^T H delta / (n (n - 1)) of the loss; empty unless asked for",
            True,
        ),
        _column("orders", pa.list_(_COUNT), "orders s that were asked for"),
        _column(
            "order_interactions",
            pa.list_(_REAL),
            "mean of I_ab^(s) over ordered pairs, for each of the orders",
        ),
        _column("order_standard_errors", pa.list_(_REAL), "their sampling errors"),
        _column(
            "neighbours",
            pa.list_(_REAL),
            "mean of I_ab over the cells b around each cell a, row by row; empty unless asked for",
            True,
        ),
        _column("neighbour_errors", pa.list_(_REAL), "their sampling errors", True),
        _column("l2", _REAL, "root mean square change of the image, 8-bit steps"),
        _column(
            "scaled_to", _REAL, "l2 that the perturbation was scaled to before, 8-bit steps", True
        ),
        _column("unit", _TEXT, "unit of work that wrote the row"),
    ]
)

THRESHOLDS = pa.schema(
    [
        _column("target", _TEXT, "name of the target model"),
        _column("threshold_rule", _TEXT, "accuracy, far_0.01 (false-accept rate), given"),
        _column("headline", _FLAG, "whether `threshold` and `success` of `verdicts` are by it"),
        _column("threshold", _REAL, "cosine; same person from it on"),
        _column("threshold_low", _REAL, "lower end of its 95 % interval, at a rate", True),
        _column("threshold_high", _REAL, "upper end", True),
        _column("impostors", _COUNT, "pairs of different people; empty if none were asked", True),
        _column("false_accept_rate", _REAL, "share of them that pass", True),
        _column("false_accept_low", _REAL, "lower end of its 95 % interval, Clopper-Pearson", True),
        _column("false_accept_high", _REAL, "upper end", True),
        _column("genuine", _COUNT, "pairs of one person", True),
        _column("true_accept_rate", _REAL, "share of them that pass", True),
        _column(
            "equal_error_rate",
            _REAL,
            "share of impostors that pass where as large a share of the genuine pairs does not",
            True,
        ),
        _column("accuracy", _REAL, "mean over ten folds, LFW protocol", True),
    ]
)

FAILURES = pa.schema(
    [
        _column("example", _TEXT, "id of the input; empty when a whole unit failed", True),
        _column("attack", _TEXT, "label of the attack; empty for inputs", True),
        _SEED,
        _column(
            "stage",
            _TEXT,
            "input, threshold, gallery, select, attack, gradient, evaluate, interactions or unit",
        ),
        _column("reason", _TEXT, "what was wrong"),
        _column("unit", _TEXT, "unit of work, or batch, that wrote the row"),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "examples": EXAMPLES,
    "verdicts": VERDICTS,
    "traces": TRACES,
    "interactions": INTERACTIONS,
    "thresholds": THRESHOLDS,
    "failures": FAILURES,
}

BY_RULE = ("threshold", "success", "clean_success", "clean_correct")
"""Columns of the verdicts that each further rule of thresholds has, too, its name behind theirs."""


def by_rule(column: str, rule: str) -> str:
    """Return the name that a column has for a further rule: `success_far_0.01`."""
    return f"{column}_{rule}"


def further_rules(columns: Iterable[str]) -> list[str]:
    """Return the further rules that some columns of the verdicts are by, in their order."""
    own = [name for name in columns if name not in VERDICTS.names]
    starts = [by_rule(name, "") for name in BY_RULE]
    found = [name.removeprefix(one) for name in own for one in starts if name.startswith(one)]
    return [*dict.fromkeys(found)]


def schema_of(table: str, columns: Iterable[str]) -> pa.Schema:
    """Return a table's columns, and behind them those of the further rules that some are by."""
    if table != "verdicts":
        return TABLES[table]
    further = [
        VERDICTS.field(name)
        .with_name(by_rule(name, rule))
        .with_nullable(True)
        .with_metadata({"description": f"as `{name}`, by the further rule {rule}"})
        for rule in further_rules(columns)
        for name in BY_RULE
    ]
    return pa.schema([*VERDICTS, *further])


NO_UPDATE = "no update"
"""The attack has no steps: somebody wanted the clean images judged."""
NO_BUDGET = "zero budget"
NO_GRADIENT = "zero gradient"
"""The surrogates' combined gradient was zero at every update."""
BELOW_A_LEVEL = "below one level"
"""Rounding to 8 bits took a change back that was smaller than the budget's first level, or than
half a level."""
NOWHERE = "steps led nowhere"
"""The gradient pointed out of [0, 1] at every pixel, or the steps cancelled."""

ORDER = {
    "examples": ("attack", "seed", "example"),
    "verdicts": ("attack", "target", "seed", "example", "step"),
    "traces": ("attack", "seed", "example", "step"),
    "interactions": ("attack", "surrogate", "seed", "example"),
    "thresholds": ("target", "threshold_rule"),
    "failures": ("attack", "seed", "stage", "example", "reason", "unit"),
}
"""The columns by which a table is sorted; together they tell its rows apart."""

ROWS = {
    "examples": "One row an adversarial image.",
    "verdicts": (
        "One row an adversarial image x target x evaluated step. Where a job's `threshold` lists "
        "several rules, each further one has the columns `threshold`, `success`, `clean_success` "
        "and `clean_correct` once more, with its name behind: `success_far_0.01`."
    ),
    "traces": "One row an image x update.",
    "interactions": "One row an adversarial image x surrogate, if `evaluate.interactions` asks.",
    "thresholds": "One row a target x rule of its thresholds; none for classifiers.",
    "failures": (
        "One row a rejected input, a lost example or a failed unit of work; and one an example "
        "without a gradient at any update (stage `gradient`), which has its rows in the other "
        "tables, too."
    ),
}
"""What a row of each table is."""

FORMER = {"rule": "combine"}
"""Columns that earlier versions named otherwise: `combine` is a method of pandas' frames."""
