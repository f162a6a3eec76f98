"""Oracle tests of specification 2.6: objectives on the features of a layer."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from gauntlet import adapt
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.objectives.aa import ActivationAttack
from gauntlet.pipeline.attacks.objectives.fd import FeatureDistribution
from gauntlet.pipeline.attacks.objectives.fi import FeatureImportance
from gauntlet.pipeline.attacks.objectives.il import IntermediateLevel
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.heads import (
    Head,
    HeadSettings,
    head_path,
    heads_key,
    image_hashes,
    write_head,
)
from gauntlet.pipeline.norms import l2, linf
from gauntlet.pipeline.oracle import InProcessOracle
from gauntlet.pipeline.problems import BadInput
from tests.attacks.toys import class_batch, images, names, vectors

N = 192
TOKENS = ["aa", "fd", "il", "fi"]


class LinearFeatures(nn.Module):
    """f = W x at the layer `middle`, logits V f."""

    def __init__(self, features: int = 20, classes: int = 4) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.middle = nn.Linear(N, features, bias=False, dtype=torch.float64)
        self.last = nn.Linear(features, classes, bias=False, dtype=torch.float64)
        fill(self, 0)

    def forward(self, x):
        return self.last(self.middle(self.flat(x)))


class Net(nn.Module):
    """A smooth network with named layers; `features` has maps of 8 x 8."""

    def __init__(self, seed: int = 0, classes: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, dtype=torch.float64), nn.Softplus(4)
        )
        self.pool = nn.AvgPool2d(2)
        self.last = nn.Linear(96, classes, dtype=torch.float64)
        fill(self, seed)

    def forward(self, x):
        return 8 * self.last(self.pool(self.features(x - 0.5)).flatten(1))


def fill(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = drawn / parameter[0].numel() ** 0.5


def surrogates(*modules: nn.Module, task: Task = Task.CLASSIFICATION) -> InProcessOracle:
    return InProcessOracle(
        [adapt(module, name=f"m{i}", task=task) for i, module in enumerate(modules)]
    )


def attacked(attack, batch, *modules, seed=0):
    return run(attack, batch, surrogates(*modules, task=batch.goal.task), seed=seed, quantize=False)


def setting_of(attack, batch):
    method = attack.method(batch.goal, batch.images[0].numel())
    return Setting(batch, method.query, 0, attack.label, 0)


def answer(attack, batch, module, points):
    """Return J and its gradient from the engine."""
    oracle = surrogates(module, task=batch.goal.task)
    return oracle.gradients(setting_of(attack, batch), [Question(0, points)])[0]


def known(attack, batch, module):
    return surrogates(module, task=batch.goal.task).known(setting_of(attack, batch), 0)


def with_options(token, **options):
    attack_fields = options.pop("attack", {})
    return Attack(objective=token, options={token: options}, **attack_fields)


def targeted(clean, references=None, classes=4):
    wanted = (torch.arange(len(clean)) + 1) % classes
    return Batch(names(len(clean)), clean, Goal.TARGETED, wanted=wanted, references=references)


def faces(clean, goal=Goal.IMPERSONATION):
    return Batch(names(len(clean)), clean, goal, references=images(len(clean), seed=7))


def cosine(one, other):
    return F.cosine_similarity(one.flatten(1), other.flatten(1))


@pytest.fixture
def heads(tmp_path):
    """Random heads for `Net(seed)`, seeds 0 and 1, at `features`, in a folder; good ones."""

    def make(folder=tmp_path, layer="features", settings=None, **changes):
        settings = settings or HeadSettings(hidden=5)
        for seed in (0, 1):
            key = heads_key(adapt(Net(seed)).fingerprint, layer, settings)
            for label in range(4):
                head = random_head(label, settings.pool)
                fields = {**vars(head), **changes}
                write_head(head_path(folder, key, label), Head(**fields), {"label": label})
        return str(folder)

    return make


def random_head(seed: int, pool: int = 8) -> Head:
    generator = torch.Generator().manual_seed(seed)
    size = 6 * pool * pool
    return Head(
        hidden_weights=torch.randn(5, size, generator=generator) / size**0.5,
        hidden_biases=torch.randn(5, generator=generator),
        weights=torch.randn(5, generator=generator),
        bias=torch.tensor(0.1),
        shape=(6, 8, 8),
        pool=pool,
        auc=0.97,
        trained_on=torch.tensor([1, 2, 3]),
    )


# -- AA ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", ["targeted", "impersonation"])
def test_o_aa_1_linear_features(goal):
    net, clean, reference = LinearFeatures(), images(3), images(3, seed=5)
    if goal == "targeted":
        batch = targeted(clean, reference)
    else:
        batch = Batch(names(3), clean, Goal.IMPERSONATION, references=reference)
    found = answer(with_options("aa", layer="middle"), batch, net, clean)
    weights = net.middle.weight
    offset = (clean - reference).flatten(1) @ weights.T
    size = offset.norm(dim=1)
    assert torch.allclose(found.values, -size, atol=1e-14)
    expected = -(offset / size[:, None]) @ weights
    assert torch.allclose(found.gradient.flatten(1), expected, atol=4e-15)


def test_o_aa_2_the_reference_itself_is_a_fixed_point():
    clean = images(3)
    attack = with_options("aa", layer="features", attack={"base": "mi", "steps": 4})
    found = attacked(attack, targeted(clean, clean), Net())
    assert torch.equal(found.images, clean)
    assert not found.lost


def test_aa_leaves_the_reference_when_dodging_and_the_clean_image_when_untargeted():
    net, clean = Net(), images(3)
    points = clean + 0.02 * vectors(3)
    features = [net.features(x - 0.5).flatten(1) for x in (points, clean, images(3, seed=7))]
    dodging = answer(with_options("aa", layer="features"), faces(clean, Goal.DODGING), net, points)
    assert torch.allclose(dodging.values, (features[0] - features[2]).norm(dim=1), atol=1e-13)
    attack = with_options("aa", layer="features", attack={"base": "pgd-mi", "steps": 3})
    away = answer(attack, class_batch(clean), net, points)
    assert torch.allclose(away.values, (features[0] - features[1]).norm(dim=1), atol=1e-13)
    moved = attacked(attack, class_batch(clean), net).images
    assert (linf(moved - clean) > 7 / 255).all()


def test_aa_needs_a_random_start_or_an_image_of_the_wanted_class():
    attack = with_options("aa", layer="features")
    with pytest.raises(ValueError, match=r"no gradient at the clean image: add 'pgd' to the base"):
        attacked(attack, class_batch(images(2)), Net())
    with pytest.raises(ValueError, match=r"an image of each example's wanted class.*references"):
        attacked(attack, targeted(images(2)), Net())


# -- FD ------------------------------------------------------------------------------------------


def test_o_fd_1_probability_its_logarithm_and_the_logit_have_one_direction():
    head = random_head(0)
    features = vectors(4, shape=(6 * 64,)).float().double().requires_grad_()
    double = Head(
        **{
            name: value.double() if isinstance(value, torch.Tensor) else value
            for name, value in vars(head).items()
        }
    )
    gradients = [
        torch.autograd.grad(of(double(features)).sum(), features)[0]
        for of in (lambda h: h, torch.sigmoid, F.logsigmoid)
    ]
    for other in gradients[1:]:
        assert torch.allclose(cosine(gradients[0], other), torch.ones(4).double(), atol=1e-14)


def test_o_fd_2_identity_heads_on_the_logits_are_the_targeted_logit_objective(tmp_path):
    settings = HeadSettings(hidden=2)
    net, batch = Net(), targeted(images(4))
    key = heads_key(adapt(net).fingerprint, "last", settings)
    for label in range(4):
        own = F.one_hot(torch.tensor(label), 4).float()
        # h = relu(z) - relu(-z) = z
        head = Head(torch.stack([own, -own]), torch.zeros(2), torch.tensor([1.0, -1.0]),
                    torch.zeros(()), (4,), 8, 1.0, torch.zeros(0, dtype=torch.int64))  # fmt: skip
        write_head(head_path(tmp_path, key, label), head, {"label": label})
    given = {"steps": 5, "base": "mi", "name": "same"}
    attack = with_options("fd", layer="last", heads=str(tmp_path), training=settings, attack=given)
    first = answer(attack, batch, net, batch.images)
    logit = answer(Attack(objective="logit", **given), batch, net, batch.images)
    # The layer comes before the network's own factor 8.
    expected = F.logsigmoid(logit.values / 8)
    assert torch.allclose(first.values, expected, atol=1e-14)
    similar = cosine(first.gradient, logit.gradient)
    assert torch.allclose(similar, torch.ones(4).double(), atol=1e-14)
    assert torch.equal(
        attacked(attack, batch, net).images,
        attacked(Attack(objective="logit", **given), batch, net).images,
    )


@pytest.mark.parametrize("pool", [1, 8])
def test_fd_raises_the_head_of_each_examples_own_class(heads, pool):
    settings = HeadSettings(hidden=5, pool=pool)
    folder = heads(settings=settings)
    net, batch, eta = Net(), targeted(images(6)), 0.5
    attack = with_options("fd", layer="features", heads=folder, training=settings, eta=eta)
    points = batch.images + 0.02 * vectors(6)
    found = answer(attack, batch, net, points).values
    for row in range(6):
        maps, clean = (net.features(x[row : row + 1] - 0.5) for x in (points, batch.images))
        head = random_head(int(batch.wanted[row]), pool)
        inputs = F.adaptive_avg_pool2d(maps, pool).flatten(1)
        hidden = torch.relu(inputs @ head.hidden_weights.double().T + head.hidden_biases.double())
        logit = hidden @ head.weights.double() + head.bias.double()
        expected = F.logsigmoid(logit) + eta * (maps - clean).norm() / clean.norm()
        assert float(found[row]) == pytest.approx(expected.item(), abs=1e-13)


def test_fd_refuses_heads_that_are_not_there_or_cannot_be_trusted(heads, tmp_path):
    batch = targeted(images(3))

    def fails(**changes):
        options = {"layer": "features", "training": HeadSettings(hidden=5), "heads": str(tmp_path)}
        with pytest.raises(BadInput) as caught:
            attacked(with_options("fd", **{**options, **changes}), batch, Net())
        return str(caught.value)

    assert "head of class 1 for 'm0'" in fails()
    assert "train them with: gauntlet heads train JOB" in fails()
    heads()
    assert "does not exist" in fails(layer="pool")
    assert "does not exist" in fails(training=HeadSettings(hidden=5, steps=7))
    attack = with_options("fd", layer="features", training=HeadSettings(hidden=5),
                          heads=str(tmp_path))  # fmt: skip
    assert not attacked(attack, batch, Net()).lost
    other = copy.deepcopy(Net())
    other.last.weight.data[0, 0] += 1e-3
    with pytest.raises(BadInput, match="does not exist"):
        attacked(attack, batch, other)
    heads(auc=0.89)
    assert "its AUC is 0.890, at least 0.9 is needed" in fails()
    heads(trained_on=image_hashes(batch.images)[1:2])
    assert "it was trained on 'example-1', which is attacked" in fails()


def test_fd_is_for_wanted_classes_only():
    with pytest.raises(ValueError, match=r"'fd' moves towards a wanted class: .* untargeted"):
        attacked(with_options("fd", layer="features"), class_batch(images(2)), Net())
    with pytest.raises(ValueError, match="does not exist for verification"):
        attacked(with_options("fd", layer="features"), faces(images(2)), Net())


# -- IL ------------------------------------------------------------------------------------------


def test_o_ila_1_linear_features_go_on_where_the_base_led():
    net, batch = LinearFeatures(), class_batch(images(3))
    base = attacked(Attack(steps=4, epsilon="8/255"), batch, net).images
    expected = ((base - batch.images).flatten(1) @ net.middle.weight.T) @ net.middle.weight
    attack = with_options("il", layer="middle", steps=4, attack={"steps": 10, "step_size": 1e-3})
    guided = Batch(batch.ids, batch.images, batch.goal, labels=batch.labels, guide=base)
    for points in (batch.images, batch.images + 0.02 * vectors(3)):
        found = answer(attack, guided, net, points).gradient.flatten(1)
        assert torch.allclose(found, expected, atol=1e-13)
    found = attacked(attack, batch, net).images
    steps = batch.images + 10e-3 * expected.sign().reshape(batch.images.shape)
    assert torch.allclose(found, steps, atol=1e-14)


@pytest.mark.parametrize("form", ["projection", "flexible"])
def test_o_ila_2_without_a_base_perturbation_nothing_moves(form):
    batch = class_batch(images(3))
    attack = with_options("il", layer="features", steps=0, form=form, attack={"base": "mi"})
    found = attacked(attack, batch, Net())
    assert torch.equal(found.images, batch.images)
    assert not found.lost


def test_il_flexible_is_the_angle_and_the_length_of_each_example():
    net, batch = Net(), class_batch(images(3))
    guide = batch.images + 0.02 * vectors(3, seed=6)
    guided = Batch(batch.ids, batch.images, batch.goal, labels=batch.labels, guide=guide)
    points = batch.images + 0.02 * vectors(3)
    clean, there, here = (net.features(x - 0.5).flatten(1) for x in (batch.images, guide, points))
    attack = with_options("il", layer="features", form="flexible", coefficient=5)
    found = answer(attack, guided, net, points).values
    for row in range(3):
        moved, reference = here[row] - clean[row], there[row] - clean[row]
        expected = moved @ reference / (moved.norm() * reference.norm())
        expected = expected + 5 * moved.norm() / reference.norm()
        assert float(found[row]) == pytest.approx(expected.item(), abs=1e-13)
    # At the clean image, where the angle is 0/0, the first step is the projection's.
    first = answer(attack, guided, net, batch.images)
    plain = answer(with_options("il", layer="features"), guided, net, batch.images)
    assert torch.allclose(
        cosine(first.gradient, plain.gradient), torch.ones(3).double(), atol=1e-14
    )


def test_il_refuses_a_base_that_does_not_exist():
    with pytest.raises(ValidationError, match=r"base attack of il: .*did you mean 'di'"):
        with_options("il", base="dii")
    with pytest.raises(ValidationError, match=r"base attack of il: relaxed stops on an l2"):
        with_options("il", base="relaxed")


# -- FI ------------------------------------------------------------------------------------------


def test_o_fia_1_a_linear_readout_gives_its_own_weights_whatever_the_masks():
    net, batch = LinearFeatures(), class_batch(images(3))
    attack = with_options("fi", layer="middle", masks=7)
    own = net.last.weight[batch.labels]
    expected = own / own.norm(dim=1, keepdim=True)
    found = known(attack, batch, net)["weights"]
    assert torch.allclose(found, expected, atol=1e-15)
    gradient = answer(attack, batch, net, batch.images).gradient.flatten(1)
    assert torch.allclose(gradient, -expected @ net.middle.weight, atol=1e-15)


@pytest.mark.parametrize("of", ["logit", "probability"])
def test_o_fia_2_without_masks_it_is_the_normalised_gradient_at_the_image(of):
    net, batch = Nonlinear(), class_batch(images(3))
    found = known(with_options("fi", layer="features", keep=1, masks=4, of=of), batch, net)
    features = net.features(batch.images - 0.5).detach().requires_grad_()
    outputs = net.after(features)
    outputs = outputs.softmax(1) if of == "probability" else outputs
    value = outputs.gather(1, batch.labels[:, None]).sum()
    (expected,) = torch.autograd.grad(value, features)
    expected = expected.flatten(1) / expected.flatten(1).norm(dim=1, keepdim=True)
    assert torch.allclose(found["weights"], expected, atol=1e-14)


class Nonlinear(Net):
    """`Net` with a second nonlinear layer, so that masks matter."""

    def after(self, features):
        return 8 * F.softplus(self.last(self.pool(features).flatten(1)), 2).sin()

    def forward(self, x):
        return self.after(self.features(x - 0.5))


def test_fi_masks_entries_to_black_and_adds_up_gradients():
    net, batch, keep = Nonlinear(), class_batch(images(2)), 0.7
    masked = []
    attack = with_options("fi", layer="features", masks=30, keep=keep)
    found = known(attack, batch, net)["weights"]
    # The same masks again, from the keyed draws.
    draws = Draws.keyed(0, batch.ids, attack=attack.label, step=-1, model="m0")
    total = torch.zeros_like(found)
    for n in range(30):
        mask = draws.uniform(f"fi/mask/{n}", (3, 8, 8)) < keep
        masked.append(mask)
        features = net.features(batch.images * mask - 0.5).detach().requires_grad_()
        value = net.after(features).gather(1, batch.labels[:, None]).sum()
        total += torch.autograd.grad(value, features)[0].flatten(1)
    assert torch.allclose(found, total / total.norm(dim=1, keepdim=True), atol=1e-13)
    share = torch.stack(masked).double()
    assert float(share.mean()) == pytest.approx(keep, abs=0.02)
    # Channels are masked apart from each other.
    same = (share[:, :, 0] == share[:, :, 1]).double().mean()
    assert float(same) == pytest.approx(keep**2 + (1 - keep) ** 2, abs=0.05)


def test_fi_lowers_the_true_logit_and_raises_the_wanted_one():
    net, clean = Nonlinear(), images(6)
    attack = with_options("fi", layer="features", attack={"base": "mi", "steps": 6})
    lowered = class_batch(clean)
    raised = targeted(clean)
    for batch, classes, sign in ((lowered, lowered.labels, -1), (raised, raised.wanted, 1)):
        moved = attacked(attack, batch, net).images
        change = (net(moved) - net(clean)).gather(1, classes[:, None])[:, 0]
        assert (sign * change > 0).double().mean() > 0.8


@pytest.mark.parametrize("goal", [Goal.DODGING, Goal.IMPERSONATION])
def test_fi_of_faces_differentiates_the_cosine(goal):
    net, batch = Nonlinear(), faces(images(3), goal)
    attack = with_options("fi", layer="features", keep=1, masks=1)
    found = answer(attack, batch, net, batch.images)
    features = net.features(batch.images - 0.5).detach().requires_grad_()
    value = F.cosine_similarity(net.after(features), net(batch.references)).sum()
    (weights,) = torch.autograd.grad(value, features)
    weights = weights.flatten(1) / weights.flatten(1).norm(dim=1, keepdim=True)
    sign = 1 if goal is Goal.IMPERSONATION else -1
    expected = sign * (weights * features.flatten(1)).sum(1)
    assert torch.allclose(found.values, expected, atol=1e-13)


# -- all -----------------------------------------------------------------------------------------


def test_a_base_attack_without_a_budget_has_the_attack_s_step_size():
    given = {"epsilon": 0, "step_size": "1/255", "steps": 2}
    attack = with_options("il", attack=given, layer="features")
    assert attack.guide(attack.objective_for(Goal.TARGETED).guide()).alpha == 1 / 255
    clean = images(2)
    assert torch.equal(attacked(attack, targeted(clean), Nonlinear()).images, clean)


def test_faces_have_no_probability():
    attack = with_options("fi", layer="features", of="probability")
    with pytest.raises(ValueError, match="faces have no 'probability'"):
        attack.method(Goal.DODGING, 192)
    attack.method(Goal.UNTARGETED, 192)


def every_option(folder):
    """Every field of every objective, with a value that is not its default."""
    return {
        ActivationAttack: {"layer": "pool"},
        FeatureDistribution: {
            "layer": None, "heads": None, "eta": 50.0, "training": HeadSettings(hidden=5, seed=3),
        },
        IntermediateLevel: {
            "layer": "pool", "base": "ti", "steps": 2, "form": "flexible", "coefficient": 3.0,
        },
        FeatureImportance: {"layer": "pool", "masks": 3, "keep": 0.4, "of": "probability"},
    }  # fmt: skip


def test_trap_18_every_option_of_these_objectives_changes_something(heads, tmp_path):
    first = heads(tmp_path / "first")
    heads(tmp_path / "first", settings=HeadSettings(hidden=5, seed=3), bias=torch.tensor(0.3))
    heads(tmp_path / "first", layer="pool", shape=(6, 8, 8))
    second = heads(tmp_path / "second", weights=torch.linspace(-1, 1, 5))
    context = {"coefficient": {"form": "flexible"}}
    clean = images(3)
    points = clean + 0.03 * vectors(3)
    for part, values in every_option(first).items():
        assert set(values) == set(part.model_fields), part
        base = {"layer": "features"}
        if part is FeatureDistribution:
            base |= {"heads": first, "training": HeadSettings(hidden=5)}
            values = {**values, "heads": second, "layer": "pool"}
        for field, value in values.items():
            if (part, field) == (FeatureDistribution, "layer"):
                continue  # heads are made for one layer: the next test
            same = {**base, **context.get(field, {})}
            found = []
            for options in (same, {**same, field: value}):
                attack = with_options(part.token, attack={"steps": 3}, **options)
                batch = targeted(clean, images(3, seed=5))
                if part is IntermediateLevel:
                    guide = attacked(attack.guide(attack.objective_for(batch.goal).guide()),
                                     batch, Nonlinear())  # fmt: skip
                    batch = Batch(batch.ids, clean, batch.goal, wanted=batch.wanted,
                                  guide=guide.images)  # fmt: skip
                net = Net() if part is FeatureDistribution else Nonlinear()
                found.append(answer(attack, batch, net, points).gradient)
            assert not torch.equal(*found), f"{part.token}.{field} changes nothing"


def test_fd_asks_the_layer_that_it_is_told(heads, tmp_path):
    folder = heads(tmp_path)
    settings = HeadSettings(hidden=5)
    key = heads_key(adapt(Net()).fingerprint, "pool", settings)
    for label in range(4):
        head = random_head(label)
        smaller = Head(**{**vars(head), "hidden_weights": head.hidden_weights[:, :96],
                          "shape": (6, 4, 4)})  # fmt: skip
        write_head(head_path(tmp_path, key, label), smaller, {"label": label})
    batch, found = targeted(images(2)), []
    for layer in ("features", "pool"):
        attack = with_options("fd", layer=layer, heads=folder, training=settings)
        found.append(answer(attack, batch, Net(), batch.images).values)
    assert not torch.allclose(*found)


@pytest.mark.parametrize("token", ["aa", "il", "fi"])
def test_without_a_layer_the_family_has_one(token):
    batch = targeted(images(2), images(2, seed=5))
    batch = replace(batch, guide=batch.images + 0.02 * vectors(2))
    points = batch.images + 0.01 * vectors(2, seed=3)
    found = [
        answer(with_options(token, layer=layer), batch, Net(), points).values
        for layer in (None, "features", "pool")
    ]
    assert any(torch.equal(found[0], other) for other in found[1:])
    assert not torch.allclose(found[1], found[2])


FAMILY = [
    ("aa", {"layer": "features"}, {"base": "pgd-mi", "steps": 3}),
    ("fd", {"layer": "features", "training": {"hidden": 5}}, {"base": "di-mi", "steps": 3}),
    ("il", {"layer": "features", "base": "pgd-di", "steps": 2}, {"steps": 3}),
    ("il", {"layer": "pool", "form": "flexible"}, {"base": "mi", "steps": 3}),
    ("fi", {"layer": "features", "masks": 5}, {"base": "si-mi", "combine": "rgea", "steps": 3}),
]


@pytest.mark.parametrize(("token", "options", "fields"), FAMILY, ids=lambda value: str(value)[:24])
def test_o_0_1_a_batch_equals_its_single_examples(heads, token, options, fields):
    if token == "fd":
        options = {**options, "heads": heads()}
    attack = Attack(objective=token, options={token: options}, **fields)
    clean = images(4)
    nets = [Net(0), Net(1)]
    batch = targeted(clean, images(4, seed=5))
    together = attacked(attack, batch, *nets)
    assert not together.lost
    assert (linf(together.images - clean) > 1e-3).all()
    for row in range(4):
        alone = attacked(attack, batch.rows(torch.tensor([row])), *nets)
        assert torch.allclose(together.images[row], alone.images[0], atol=1e-12)


@pytest.mark.parametrize("token", TOKENS)
def test_rules_that_fuse_outputs_refuse_features(token):
    for combine in ("ens-logits", "ens-probabilities"):
        with pytest.raises(ValidationError, match=f"fuses outputs, and {token} needs"):
            Attack(objective=token, combine=combine)


@pytest.mark.parametrize("token", TOKENS)
def test_an_unknown_layer_is_named(heads, token):
    options = {"layer": "feature"}
    if token == "fd":
        options |= {"heads": heads(layer="feature"), "training": HeadSettings(hidden=5)}
    batch = targeted(images(2), images(2, seed=5))
    with pytest.raises(ValueError, match=r"unknown layer 'feature'; did you mean 'features'"):
        attacked(with_options(token, **options), batch, Net())


def test_faces_are_attacked_through_their_features():
    batch = faces(images(3))
    for token in ("aa", "il", "fi"):
        attack = with_options(token, layer="features", attack={"base": "mi", "steps": 5})
        found = attacked(attack, batch, Net(0), Net(1))
        assert not found.lost
        assert (l2(found.images - batch.images) > 0.1).all()


@pytest.mark.parametrize(
    ("token", "options", "message"),
    [
        ("il", {"form": "angle"}, "'projection' or 'flexible'"),
        ("il", {"steps": -1}, "greater than or equal to 0"),
        ("fi", {"masks": 0}, "greater than or equal to 1"),
        ("fi", {"keep": 1.2}, "less than or equal to 1"),
        ("fi", {"of": "loss"}, "'logit' or 'probability'"),
        ("fd", {"eta": -1}, "greater than or equal to 0"),
        ("fd", {"training": {"pool": 4}}, "1 or 8"),
        ("aa", {"layers": "features"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_by_name(token, options, message):
    with pytest.raises(ValidationError, match=message):
        Attack(objective=token, options={token: options})
