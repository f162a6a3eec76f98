"""Attacks by the names that people know them by, and how a job writes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """An attack that has a name.

    Attributes:
        names: its names, the commonest first.
        attack: its entry in `attacks` as YAML, or empty when it is not offered.
        remark: where the settings come from, or what to mind.
    """

    names: tuple[str, ...]
    attack: str
    remark: str = ""


NAMES = (
    Named(("FGSM",), "{base: i, steps: 1, step_size: eps}"),
    Named(("I-FGSM", "BIM"), "{base: i}"),
    Named(
        ("PGD", "PGD-linf"),
        "{base: pgd, epsilon: 16/255, step_size: 2/255, steps: 100}",
        "budget of the interaction paper",
    ),
    Named(
        ("PGD-l2",),
        "{base: pgd, norm: l2, epsilon: 16/255, normalise: l2, step_size: 2.0, steps: 100, "
        "options: {pgd: {start: box}}}",
        "the interaction paper's code: its l2 step is 2.0 in all, not 2/255 a pixel; its text has "
        "`step_size: 2/255` with `normalise: l2rms`",
    ),
    Named(("MI-FGSM",), "{base: mi}"),
    Named(("NI-FGSM",), "{base: ni}"),
    Named(("DI-FGSM",), "{base: di}", "for ImageNet `options: {di: {preset: enlarge}}`"),
    Named(("DIM", "M-DI-FGSM"), "{base: di-mi}"),
    Named(("TI-FGSM",), "{base: ti}", "paper, for 299 px: `options: {ti: {kernel: 15}}`"),
    Named(("TIM",), "{base: ti-mi}"),
    Named(("TI-DIM", "DI-TI-MI"), "{base: di-ti-mi}"),
    Named(("SIM", "SI-MI-FGSM"), "{base: si-mi}", "RGEA: `options: {si: {m: 4}}`"),
    Named(("SI-DI",), "{base: si-di}"),
    Named(("SI-NI-FGSM",), "{base: si-ni}"),
    Named(("SI-NI-TI-DIM",), "{base: si-ni-ti-di}"),
    Named(("VR", "vr-IGSM"), "{base: vr}", "averages gradients at noisy copies: not VMI"),
    Named(
        ("VMI-FGSM", "VNI-FGSM"),
        "",
        "not offered: carries the difference between noisy and plain gradient over to the next "
        "step; `vr` does not",
    ),
    Named(("Ens", "Ens in loss"), "{base: i, combine: ens}", "RGEA's Ens"),
    Named(
        ("Ens-MI", "Ens in logits"),
        "{base: mi, combine: ens-logits}",
        "what most public code calls its ensemble, Dong 2018",
    ),
    Named(("Ens in probabilities",), "{base: i, combine: ens-probabilities}", "Liu 2017"),
    Named(
        ("Ens-l2",),
        "{base: i, combine: ens-l2, step_size: 1/255, steps: 20}",
        "RGEA's ablation",
    ),
    Named(
        ("SVRE-I-FGSM",),
        "{base: i, combine: svre, options: {svre: {momentum: 0}}}",
        "the official code keeps the inner momentum: leave out `momentum: 0`",
    ),
    Named(("SVRE-MI-FGSM",), "{base: mi, combine: svre}"),
    Named(
        ("official SVRE-MI-FGSM",),
        "{base: mi, combine: svre, "
        "options: {svre: {fusion: logits, biased: true, draws: separate}}}",
    ),
    Named(("MGDA",), "{base: i, combine: mgda, step_size: 1/255, steps: 20}", "on unit gradients"),
    Named(("RGEA", "RGEA-I"), "{base: i, combine: rgea, step_size: 1/255, steps: 20}"),
    Named(
        ("RGEA-DI-TI-MI",),
        "{base: di-ti-mi, combine: rgea, step_size: 1/255, steps: 20, options: {di: {p: 0.8}}}",
        "with `rgea` mu is 0.4 unless `options` say otherwise",
    ),
    Named(
        ("IMTL-G", "other multi-objective methods"),
        "{base: i, combine: torchjd/imtlg}",
        "any aggregator of TorchJD",
    ),
    Named(("SGM",), "{base: sgm}", "with momentum: `sgm-mi`"),
    Named(
        ("LinBP",),
        "{base: linbp, epsilon: 0.03, step_size: 1/255, steps: 300}",
        "budget of its ImageNet attack, whose code adds uniform noise to every query, too",
    ),
    Named(
        ("GhostNet", "longitudinal ensemble"),
        "{base: ghost-mi, epsilon: 8/255, step_size: 1/255, steps: 10}",
    ),
    Named(
        ("IAA", "IA"),
        "{base: pgd-ia, epsilon: 16/255, step_size: 2/255, steps: 10}",
        "a search of your own: `options: {ia: {search: FILE}}`",
    ),
    Named(
        ("AA",),
        "{base: mi, objective: aa, epsilon: 0.07, steps: 10}",
        "targeted: with `data.references: gallery`",
    ),
    Named(("FDA", "FD"), "{base: mi, objective: fd}", "targeted; `gauntlet heads train JOB` first"),
    Named(("ILA", "IL"), "{base: i, objective: il}", "after ten updates of `i`"),
    Named(
        ("ILA after MI-FGSM",),
        "{base: i, objective: il, options: {il: {base: mi}}}",
    ),
    Named(("FIA", "FI"), "{base: mi, objective: fi, epsilon: 16/255, step_size: eps/10}"),
    Named(("PI-FGSM", "patch-wise"), "{base: pi, epsilon: 16/255, step_size: eps/10, steps: 10}"),
    Named(
        ("DPI-FGSM", "DI-PI"),
        "{base: di-pi, epsilon: 16/255, step_size: eps/10, steps: 10, "
        "options: {pi: {beta: 2.5, gamma: 2/255}}}",
        "gamma is half of beta alpha, as in FIA's code",
    ),
    Named(
        ("RAP-LS",),
        "{base: rap, epsilon: 16/255, step_size: 2/255, steps: 400}",
        "inactive for the first quarter of the updates",
    ),
    Named(
        ("RAP",),
        "{base: rap, epsilon: 16/255, step_size: 2/255, steps: 400, "
        "options: {rap: {late_start: 0}}}",
    ),
    Named(
        ("Logit attack",),
        "{base: di-ti-mi, objective: logit, epsilon: 16/255, step_size: 2/255, steps: 300}",
        "targeted, Zhao 2021",
    ),
    Named(("CW loss",), "{base: pgd, objective: margin}"),
    Named(
        ("IR", "PGD+IR"),
        "{base: ir, epsilon: 16/255, step_size: 2/255, steps: 100}",
        "from the clean image, as the official code; `pgd+ir` starts at random. lambda 2 for "
        "networks other than ResNets: `options: {ir: {lambda_code: 2}}`",
    ),
    Named(("MI+IR",), "{base: mi+ir, epsilon: 16/255, step_size: 2/255, steps: 100}"),
    Named(("TI+IR",), "{base: ti+ir, epsilon: 16/255, step_size: 2/255, steps: 100}"),
    Named(("SGM+IR",), "{base: sgm+ir, epsilon: 16/255, step_size: 2/255, steps: 100}"),
    Named(
        ("VR+IR",),
        "{base: vr+ir, epsilon: 16/255, step_size: 2/255, steps: 50, options: {vr: {m: 5}}}",
        "Eq. 333; the official code is `ir: {noise: clean-sum}`",
    ),
    Named(
        ("HybridIR", "MI+VR+SGM+IR"),
        "{base: mi-vr-sgm+ir, epsilon: 16/255, step_size: 2/255, steps: 50, options: {vr: {m: 5}}}",
    ),
    Named(
        ("IR of Eq. 16",),
        "{base: ir-mean, epsilon: 16/255, step_size: 2/255, steps: 100}",
        "the mean interaction over all pairs, exactly",
    ),
    Named(
        ("interaction-only",),
        "{base: pgd-interaction-only, epsilon: 16/255, step_size: 2/255, steps: 100}",
        "lambda = infinity, Fig. 4b",
    ),
    Named(
        ("correlation study",),
        "{base: relaxed, norm: l2, epsilon: 16/255, steps: 200, options: {relaxed: {c: 0.1}}}",
        "setting 2: `p: 5`",
    ),
    Named(
        ("sign noise",),
        "{base: pgd, steps: 0, epsilon: 16/255, options: {pgd: {start: sign}}}",
        "the floor of the tables",
    ),
    Named(
        ("adversarially trained surrogate",),
        "{base: mi, surrogates: [robust]}",
        "`robust` being the name of such a network among the job's surrogates",
    ),
    Named(("clean images",), "{base: i, steps: 0}", "no attack: the targets' clean errors"),
)
"""Every attack with a name. Budgets are given where a paper's differ from the job's defaults."""


def find_named(name: str) -> Named | None:
    """Return the attack called ``name``, or None: ``MI-FGSM``, ``mi_fgsm`` and ``MIFGSM`` alike."""
    wanted = _plain(name)
    return next((known for known in NAMES if wanted in map(_plain, known.names)), None)


def written(name: str) -> str | None:
    """Return how a job writes the attack called ``name``, as a sentence; None if it is none."""
    known = find_named(name)
    if known is None:
        return None
    if not known.attack:
        return f"{name!r} is {known.remark}"
    return f"{name!r} is written `{known.attack}`"


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
