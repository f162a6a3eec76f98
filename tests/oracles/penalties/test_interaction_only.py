"""Oracle tests of the interaction alone (specification 2.8)."""

import torch

from gauntlet import Attack
from tests.toys.penalties import SMALL, answer, moved
from tests.toys.surrogates import SmallNet, class_batch, images, run_float


def test_o_io_1_at_the_clean_image_nothing_moves():
    batch, net = class_batch(images(3)), SmallNet(0)

    def found(base, **options):
        given = {"interaction-only": {"grid": 4, **options}}
        return run_float(Attack(base=base, options=given, steps=4), batch, [net]).images

    still = found("interaction-only", official_start=True)
    assert torch.equal(still, batch.images)
    noise = found("interaction-only", official_start=True, guard=False)
    assert not torch.equal(noise, batch.images)
    start = run_float(Attack(base="pgd", steps=0, step_size=1), batch, [net]).images
    away = found("pgd+interaction-only")
    assert ((away - start).abs().amax((1, 2, 3)) > 1e-3).all()


def test_the_interaction_alone_is_what_ir_subtracts():
    batch, net = class_batch(images(3)), SmallNet(0)
    points, given = moved(batch.images), {"name": "same draws"}
    alone = Attack(base="pgd+interaction-only", options={"interaction-only": SMALL}, **given)
    ir = Attack(base="pgd+ir", options={"ir": SMALL}, **given)
    plain = answer(Attack(**given), batch, net, points)
    both, term = (answer(attack, batch, net, points) for attack in (ir, alone))
    assert torch.allclose(both.gradient, plain.gradient + term.gradient, atol=1e-12)
    assert torch.allclose(both.values, plain.values + term.values, atol=1e-12)
