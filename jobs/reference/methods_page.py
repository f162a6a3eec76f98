"""The page of all attack methods, made from the parts themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from gauntlet.jobs.reference.field_words import default_words
from gauntlet.jobs.reference.index import OPEN, PLACES, MethodRow
from gauntlet.jobs.reference.method_rows import rows
from gauntlet.jobs.spec.named_attacks import NAMES
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.models.zoo.recipes import RECIPES

_INTRODUCTION = f"""\
# Attack methods

Made by `gauntlet methods --markdown`; do not edit.

An attack is put together from parts, at most one each for update, penalty, objective and
combination rule:

```yaml
attacks:
  - {{base: di-ti-mi, combine: rgea, objective: logit, options: {{di: {{p: 0.8}}}}}}
```

`base` joins starts, views, surgeries, penalties, filters, query points and updates with `-` or `+`,
in any order. The options of a part stand in `options` under its name; `gauntlet methods NAME` says
what each means, and so does [the job file reference](jobs.md). In the tables:

- *defaults*: options as a job writes them; `{OPEN}` is found from the network or the other options;
- *passes*: forward + backward passes per update with k surrogates. Views multiply: `vr-si` takes
  100 k. What happens once an attack is named as such;
- *needs*: what the part cannot do without; a task means that it exists for that task only;
- *paper*: "RGEA" is "Improving the adversarial transferability with relational graphs ensemble
  adversarial attack", "Interaction paper" is "Proving Common Mechanisms Shared by Twelve Methods of
  Boosting Adversarial Transferability".
"""

_ROBUST = """\
### Adversarially trained surrogates

Springer 2021: another surrogate, not another attack. Any entry of the job's `surrogates` may be an
adversarially trained network, and an attack's `surrogates` chooses among them, so that one job
compares both:

```yaml
surrogates:
  - {name: plain, source: zoo/s2}
  - {name: robust, source: zoo/a1}
attacks:
  - {name: from plain, base: mi, surrogates: [plain]}
  - {name: from robust, base: mi, surrogates: [robust]}
```

The method wants small training budgets: slightly robust networks transfer best. The flag
`adversarial: true` of a model states the training of checkpoints of your own (`file:PATH`,
`import:MODULE:FACTORY`). Three sources know it by themselves, with the budget: files of
`gauntlet surrogates harden`, timm's tags (`timm/inception_v3.tf_adv_in1k`,
`timm/inception_resnet_v2.tf_ens_adv_in1k`) and the zoo. `gauntlet check` and the run's manifest
show it, and such a target is reported in the group `adversarial`. For 48 x 48 faces there is the
zoo (a network that is a surrogate can be a target only with `white_box: true`):
"""


def markdown() -> str:
    """Return the page."""
    lines = [_INTRODUCTION, *_attack_defaults()]
    found = rows()
    for place, heading in PLACES.items():
        lines += [f"## {heading}", "", *_parts(row for row in found if row.place == place), ""]
    lines += [_ROBUST, *_robust(), ""]
    lines += ["## Names, and how a job writes them", ""]
    lines += _table(
        ("name", "entry of `attacks`", "remark"),
        (
            (", ".join(known.names), f"`{known.attack}`" if known.attack else "", known.remark)
            for known in NAMES
        ),
    )
    return "\n".join(lines) + "\n"


def _attack_defaults() -> list[str]:
    names = ("base", "combine", "norm", "epsilon", "steps")
    known = (f"`{name}: {default_words(Attack.model_fields[name])[1:-1]}`" for name in names)
    text = (
        f"An attack that says nothing has {', '.join(known)}; its step size is 1.5 epsilon / steps "
        "for sign steps and 2.5 epsilon / steps for steps divided by a norm."
    )
    return [*textwrap.wrap(text, 100), ""]


def _parts(chosen: Iterable[MethodRow]) -> list[str]:
    headings = ("name", "what", "defaults", "passes", "needs", "paper")
    cells = (
        (f"`{r.name}`" if r.place else r.name, r.what, r.defaults, r.cost, r.needs, r.paper)
        for r in chosen
    )
    return _table(headings, cells)


def _robust() -> list[str]:
    found = []
    for recipe in RECIPES.values():
        settings = recipe.adversarial
        if settings is None:
            continue
        radius = f"{settings.epsilon * 255:.4g}/255"
        steps = f"{settings.steps} of {settings.step_size * 255:.4g}/255"
        found.append(
            (f"`zoo/{recipe.name}`", recipe.architecture, settings.method, radius, steps,
             f"`zoo/{recipe.twin}`")
        )  # fmt: skip
    headings = ("source", "architecture", "training", "linf radius", "inner steps", "started from")
    return _table(headings, found)


def _table(headings: tuple[str, ...], cells: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    return lines + [f"| {' | '.join(map(_escaped, row))} |" for row in cells]


def _escaped(text: str) -> str:
    """Return text whose signs mean themselves; what stands between backticks is code."""
    pieces = " ".join(text.split()).split("`")
    for position in range(0, len(pieces), 2):
        for sign in "\\*<":
            pieces[position] = pieces[position].replace(sign, f"\\{sign}")
    return "`".join(pieces).replace("|", "\\|")
