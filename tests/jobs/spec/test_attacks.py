from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys.jobs import attacks, plan, problems


def test_every_combination_in_order(tmp_path: Path) -> None:
    text = "  grid: {base: [i, di-mi], combine: [ens, rgea], epsilon: [2/255, 4/255]}\n  steps: 3"
    found = plan(tmp_path, attacks(text)).attacks
    assert [attack.label for attack in found] == [
        f"{base}/{combine}/linf-{epsilon}"
        for base in ("i", "di-mi")
        for combine in ("ens", "rgea")
        for epsilon in (2, 4)
    ]
    assert {attack.steps for attack in found} == {3}


def test_lists_mix_attacks_and_grids(tmp_path: Path) -> None:
    text = "  - {base: pgd}\n  - {grid: {base: [i, mi]}, norm: l2}\n  - {base: ni}"
    labels = [attack.base for attack in plan(tmp_path, attacks(text)).attacks]
    assert labels == ["pgd", "i", "mi", "ni"]


def test_single_attack_needs_no_list(tmp_path: Path) -> None:
    (only,) = plan(tmp_path, attacks("  base: ti-mi\n  steps: 7")).attacks
    assert (only.base, only.steps) == ("ti-mi", 7)


def test_value_of_an_axis_may_bring_other_fields(tmp_path: Path) -> None:
    text = (
        "  grid:\n"
        "    combine: [ens, {combine: rgea, step_size: eps/4, options: {rgea: {rtol: 1e-4}}}]\n"
        "  epsilon: 8/255\n"
        "  step_size: eps/10"
    )
    ens, rgea = plan(tmp_path, attacks(text)).attacks
    assert ens.alpha == pytest.approx(0.8 / 255)
    assert rgea.alpha == pytest.approx(2 / 255)
    assert rgea.options["rgea"].model_dump() == {"rtol": 1e-4}


def test_shared_options_reach_the_combinations_with_their_part(tmp_path: Path) -> None:
    text = (
        "  grid: {base: [i, di, di-ti], options: [{di: {p: 0.2}}, {di: {p: 0.9}}]}\n"
        '  name: "{base} x"\n'
        "  options: {ti: {kernel: 3}, di: {low: 0.8}}"
    )
    assert any(
        "two attacks are labelled 'i x'" in text for text in problems(tmp_path, attacks(text))
    )
    text = "  grid: {base: [i, di, di-ti]}\n  options: {ti: {kernel: 3}, di: {low: 0.8}}"
    plain, diverse, both = plan(tmp_path, attacks(text)).attacks
    assert plain.options == {}
    assert set(diverse.options) == {"di"}
    assert set(both.options) == {"di", "ti"}


def test_options_as_an_axis_are_merged_part_by_part(tmp_path: Path) -> None:
    text = (
        "  - grid: {options: [{di: {p: 0.2}}]}\n"
        "    base: di-ti\n"
        "    options: {ti: {kernel: 3}, di: {low: 0.8}}"
    )
    (only,) = plan(tmp_path, attacks(text)).attacks
    assert only.options["di"].model_dump()["p"] == 0.2
    assert only.options["di"].model_dump()["low"] == 0.8
    assert only.options["ti"].model_dump()["kernel"] == 3


def test_names_made_from_fields(tmp_path: Path) -> None:
    text = '  grid: {base: [i, mi], steps: [1, 2]}\n  name: "{base} after {steps}"'
    names = [attack.label for attack in plan(tmp_path, attacks(text)).attacks]
    assert names == ["i after 1", "i after 2", "mi after 1", "mi after 2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "  grid: {base: [i, di]}\n  options: {svre: {beta: 1}}",
            "11: attacks.options.svre: options for 'svre', which no attack of this grid uses",
        ),
        ("  grid: {bse: [i]}", "10: attacks.grid.bse: unknown axis 'bse'; did you mean 'base'"),
        ("  grid: {base: []}", "10: attacks.grid.base: expected a list of values, got []"),
        ("  grid: []", "10: attacks.grid: expected axes"),
        ("  grid: {base: [i, xi]}", "10: attacks.grid.base[1]: unknown attack part 'xi'"),
        (
            "  grid: {base: [i, mi]}\n  base: di",
            "10: attacks.grid.base: `base` is given beside the grid, too",
        ),
        (
            "  grid: {base: [i, {steps: 3}]}",
            "10: attacks.grid.base: expected `base` among the fields of {'steps': 3}",
        ),
        (
            "  grid: {combine: [ens, {combine: rgea, base: di}], base: [i]}",
            "10: attacks.grid.combine[1].base: `base` is an axis of this grid, too",
        ),
        (
            "  grid: {combine: [{combine: rgea, stepsize: 1}]}",
            "10: attacks.grid.combine[0].stepsize: unknown key 'stepsize'; did you mean",
        ),
        ("  grid: {base: [i, mi], steps: [1, 2]}", "9: attacks: two attacks are labelled 'i/ens/"),
        (
            '  grid: {base: [i]}\n  name: "{bas}"',
            "11: attacks.name: unknown field in the name 'bas'; did you mean 'base'",
        ),
        (
            "  grid: {base: [i, ni]}\n  normalise: l2",
            "9: attacks: ni looks ahead only under `normalise: sign` or `l2rms` (base 'ni', "
            "combine 'ens')",
        ),
        (
            "  - {base: i, combine: ens}\n  - {base: i}",
            "11: attacks[1]: two attacks are labelled 'i/ens/linf-8' (the other in line 10)",
        ),
    ],
)
def test_wrong_grids(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, attacks(text))
    assert any(message.startswith(f"job.yaml:{expected}") for message in found), found


def test_grids_have_an_end(tmp_path: Path) -> None:
    axis = f"[{', '.join(map(str, range(1, 150)))}]"
    (message,) = problems(tmp_path, attacks(f"  grid: {{steps: {axis}, epsilon: {axis}}}"))
    assert "22,201 combinations; at most 10,000 are allowed" in message
