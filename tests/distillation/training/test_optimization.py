"""Learning rate and momentum, step by step against torch's own schedulers."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CyclicLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
)

from core.distillation.training.optimization import (
    apply_schedule,
    batch_norm_parameters,
    clip_gradients,
    learning_rate_at,
    make_optimizer,
    momentum_at,
)
from core.jobspec.training.schedule import (
    Constant,
    Cosine,
    MultiStep,
    OneCycle,
    Schedule,
    Triangular,
)


def plain_sgd(schedule: Schedule) -> torch.optim.SGD:
    return torch.optim.SGD(
        [nn.Parameter(torch.zeros(1))], lr=schedule.learning_rate, momentum=schedule.momentum
    )


def rates_of(
    optimizer: torch.optim.SGD, scheduler: LRScheduler, steps: int, every: int = 1
) -> Iterator[tuple[float, float]]:
    """Yield (rate, momentum) of each step; torch's scheduler steps after every ``every`` steps."""
    for step in range(steps):
        yield optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < steps:
            scheduler.step()


@pytest.mark.parametrize(
    ("steps", "rise"),
    [(40, 0.25), (100, 0.3), (7, 0.5), (13, 0.9), (5, 0.25), (3, 0.25), (2, 0.75), (60, 0.01)],
)
@pytest.mark.parametrize("cycle_momentum", [True, False])
def test_one_cycle_is_torchs_at_every_step(steps: int, rise: float, cycle_momentum: bool) -> None:
    schedule = Schedule(learning_rate=0.1, decay=OneCycle(rise=rise, cycle_momentum=cycle_momentum))
    optimizer = plain_sgd(schedule)
    scheduler = OneCycleLR(
        optimizer, max_lr=0.1, total_steps=steps, pct_start=rise, cycle_momentum=cycle_momentum
    )
    for step, (rate, momentum) in enumerate(rates_of(optimizer, scheduler, steps)):
        assert learning_rate_at(schedule, step, steps, steps_per_epoch=1) == pytest.approx(
            rate, rel=1e-9
        )
        assert momentum_at(schedule, step, steps, steps_per_epoch=1) == pytest.approx(
            momentum, rel=1e-9
        )


def test_one_cycle_by_hand() -> None:
    # 101 steps, of which 51 rise: from 1/25 of the rate up to it in 50 steps, and down to
    # 1/250000 in 50 more.
    schedule = Schedule(learning_rate=1.0, decay=OneCycle(rise=51 / 101))
    rates = [learning_rate_at(schedule, step, 101, 1) for step in (0, 25, 50, 75, 100)]
    assert rates == pytest.approx([0.04, 0.52, 1.0, (1 + 4e-6) / 2, 4e-6])
    assert [momentum_at(schedule, step, 101, 1) for step in (0, 50, 100)] == pytest.approx(
        [0.95, 0.85, 0.95]
    )


@pytest.mark.parametrize(("steps", "rise"), [(4, 0.25), (2, 0.5), (10, 0.1)])
def test_one_cycle_whose_rise_is_a_single_step_begins_at_the_top(steps: int, rise: float) -> None:
    # torch divides by zero here.
    schedule = Schedule(learning_rate=0.1, decay=OneCycle(rise=rise))
    rates = [learning_rate_at(schedule, step, steps, 1) for step in range(steps)]
    assert rates[0] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.1 / 25e4)
    assert momentum_at(schedule, 0, steps, 1) == pytest.approx(0.85)


def test_one_cycle_of_a_single_step_uses_the_highest_rate() -> None:
    # torch would use the last rate, which is almost 0.
    schedule = Schedule(learning_rate=0.1, decay=OneCycle())
    assert learning_rate_at(schedule, 0, 1, 1) == pytest.approx(0.1)
    assert momentum_at(schedule, 0, 1, 1) == pytest.approx(0.85)


@pytest.mark.parametrize(("epochs", "rise"), [(40, 0.25), (400, 0.025), (5, 0.4)])
def test_one_cycle_by_epochs_is_torchs_with_an_epoch_a_step(epochs: int, rise: float) -> None:
    schedule = Schedule(learning_rate=0.2, decay=OneCycle(rise=rise, update="epoch"))
    optimizer = plain_sgd(schedule)
    scheduler = OneCycleLR(optimizer, max_lr=0.2, total_steps=epochs, pct_start=rise)
    steps = 3 * epochs
    for step, (rate, momentum) in enumerate(rates_of(optimizer, scheduler, steps, every=3)):
        assert learning_rate_at(schedule, step, steps, 3) == pytest.approx(rate, rel=1e-9)
        assert momentum_at(schedule, step, steps, 3) == pytest.approx(momentum, rel=1e-9)


def test_one_cycle_by_epochs_by_hand() -> None:
    # 5 epochs of 10 steps, of which 2 rise: the second has the highest rate, the last 1/250000.
    schedule = Schedule(learning_rate=1.0, decay=OneCycle(rise=0.4, update="epoch"))
    rates = [learning_rate_at(schedule, step, 50, 10) for step in (0, 9, 10, 19, 20, 49)]
    falling = 4e-6 + (1 - 4e-6) * 0.75  # (1 + cos(pi / 3)) / 2
    assert rates == pytest.approx([0.04, 0.04, 1.0, 1.0, falling, 4e-6])
    momenta = [momentum_at(schedule, step, 50, 10) for step in (9, 10, 19, 20, 49)]
    assert momenta == pytest.approx([0.95, 0.85, 0.85, 0.95 - 0.1 * 0.75, 0.95])


@pytest.mark.parametrize(("steps", "rise"), [(40, 0.5), (60, 0.4), (10, 0.2), (3, 1 / 3), (2, 0.5)])
@pytest.mark.parametrize("cycle_momentum", [True, False])
def test_triangular_is_torchs_cyclic_rate(steps: int, rise: float, cycle_momentum: bool) -> None:
    decay = Triangular(rise=rise, cycle_momentum=cycle_momentum)
    schedule = Schedule(learning_rate=0.2, decay=decay)
    optimizer = plain_sgd(schedule)
    scheduler = CyclicLR(
        optimizer,
        base_lr=0.0,
        max_lr=0.2,
        step_size_up=steps * rise,  # type: ignore[arg-type]
        step_size_down=steps * (1 - rise),  # type: ignore[arg-type]
        cycle_momentum=cycle_momentum,
    )
    for step, (rate, momentum) in enumerate(rates_of(optimizer, scheduler, steps)):
        assert learning_rate_at(schedule, step, steps, 1) == pytest.approx(rate, abs=1e-12)
        assert momentum_at(schedule, step, steps, 1) == pytest.approx(momentum, rel=1e-9)


def test_triangular_by_hand() -> None:
    # 100 steps, of which 40 rise; the last step is the hundredth and not yet at 0.
    schedule = Schedule(learning_rate=0.3, decay=Triangular(rise=0.4))
    steps = (0, 1, 20, 40, 70, 99)
    rates = [learning_rate_at(schedule, step, 100, 10) for step in steps]
    assert rates == pytest.approx([0.0, 0.3 / 40, 0.15, 0.3, 0.15, 0.3 / 60])
    momenta = [momentum_at(schedule, step, 100, 10) for step in steps]
    assert momenta == pytest.approx([0.9, 0.9 - 0.1 / 40, 0.85, 0.8, 0.85, 0.9 - 0.1 / 60])


def test_triangular_without_cycled_momentum_has_the_schedules() -> None:
    schedule = Schedule(momentum=0.7, decay=Triangular(cycle_momentum=False))
    assert {momentum_at(schedule, step, 20, 5) for step in range(20)} == {0.7}


@pytest.mark.parametrize("milestones", [(2, 4), (1,), (3, 3), (4, 2), (50,)])
def test_multi_step_is_torchs_stepped_once_an_epoch(milestones: tuple[int, ...]) -> None:
    schedule = Schedule(learning_rate=0.3, decay=MultiStep(milestones=milestones, factor=0.2))
    optimizer = plain_sgd(schedule)
    scheduler = MultiStepLR(optimizer, milestones=list(milestones), gamma=0.2)
    for step, (rate, momentum) in enumerate(rates_of(optimizer, scheduler, steps=24, every=4)):
        assert learning_rate_at(schedule, step, 24, steps_per_epoch=4) == pytest.approx(
            rate, rel=1e-9
        )
        assert momentum_at(schedule, step, 24, 4) == momentum


def test_multi_step_falls_after_the_milestones_epoch() -> None:
    schedule = Schedule(learning_rate=0.1, decay=MultiStep(milestones=(100, 150)))
    rates = [
        learning_rate_at(schedule, step, 2000, steps_per_epoch=10)
        for step in (999, 1000, 1499, 1500, 1999)
    ]
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_cosine_is_torchs_at_every_step(steps: int) -> None:
    schedule = Schedule(learning_rate=0.1, decay=Cosine())
    optimizer = plain_sgd(schedule)
    scheduler = CosineAnnealingLR(optimizer, T_max=steps)
    for step, (rate, _) in enumerate(rates_of(optimizer, scheduler, steps)):
        assert learning_rate_at(schedule, step, steps, 1) == pytest.approx(rate, rel=1e-9)
        assert momentum_at(schedule, step, steps, steps_per_epoch=1) == 0.9


def test_constant_is_constant() -> None:
    schedule = Schedule(learning_rate=0.05, momentum=0.8, decay=Constant())
    assert {learning_rate_at(schedule, step, 20, 5) for step in range(20)} == {0.05}
    assert {momentum_at(schedule, step, 20, 5) for step in range(20)} == {0.8}


@pytest.mark.parametrize(
    "decay",
    [
        OneCycle(),
        OneCycle(update="epoch"),
        MultiStep(milestones=(2,)),
        Cosine(),
        Constant(),
    ],
)
def test_no_rate_is_negative_or_above_the_highest(decay: Any) -> None:
    schedule = Schedule(learning_rate=0.1, decay=decay)
    rates = [learning_rate_at(schedule, step, 30, 10) for step in range(30)]
    assert min(rates) > 0
    assert max(rates) <= 0.1 + 1e-15


def test_set_rates_sets_every_group_and_returns_the_rate() -> None:
    schedule = Schedule(learning_rate=0.1, decay=OneCycle())
    parameters = [{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=0.0)
    rate = apply_schedule(optimizer, schedule, step=3, steps=40, steps_per_epoch=4)
    assert rate == learning_rate_at(schedule, 3, 40, 4)
    for group in optimizer.param_groups:
        assert group["lr"] == rate
        assert group["momentum"] == momentum_at(schedule, 3, 40, 4)


def test_the_optimizer_has_the_schedules_settings() -> None:
    schedule = Schedule(
        learning_rate=0.2, momentum=0.7, weight_decay=1e-3, nesterov=True, decay=Constant()
    )
    settings = make_optimizer(schedule, [nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert (settings["lr"], settings["momentum"], settings["weight_decay"]) == (0.2, 0.7, 1e-3)
    assert settings["nesterov"] is True
    assert settings["dampening"] == 0


def test_three_steps_on_a_parabola_by_hand() -> None:
    # x^2 / 2 from 1, rate 1/2, momentum 1/2, weight decay 1, so the slope is 2 x:
    # velocity 2, x 0; velocity 1, x -1/2; velocity 1/2 - 1, x -1/4.
    x = nn.Parameter(torch.ones(1))
    schedule = Schedule(learning_rate=0.5, momentum=0.5, weight_decay=1.0, decay=Constant())
    optimizer = make_optimizer(schedule, [x])
    positions = []
    for step in range(3):
        apply_schedule(optimizer, schedule, step, steps=3, steps_per_epoch=1)
        optimizer.zero_grad()
        (x.square() / 2).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        positions.append(x.item())
    assert positions == [0.0, -0.5, -0.25]


def batch_norm_network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.LayerNorm(4))


@pytest.mark.parametrize("norm_decay", [0.0, 1e-3])
def test_batch_norms_may_have_a_weight_decay_of_their_own(norm_decay: float) -> None:
    """All other weights, those of layer norms too, keep the schedule's."""
    network = batch_norm_network()
    schedule = Schedule(weight_decay=0.01, batch_norm_weight_decay=norm_decay)
    norms = batch_norm_parameters(network)
    assert norms == list(network[1].parameters())
    optimizer = make_optimizer(schedule, network.parameters(), norms)
    decays = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    expected = {id(parameter): 0.01 for parameter in network.parameters()}
    expected |= {id(parameter): norm_decay for parameter in network[1].parameters()}
    assert decays == expected


def test_by_default_batch_norms_decay_like_all_weights() -> None:
    network = batch_norm_network()
    optimizer = make_optimizer(
        Schedule(weight_decay=0.01), network.parameters(), batch_norm_parameters(network)
    )
    (group,) = optimizer.param_groups
    assert group["params"] == list(network.parameters())
    assert group["weight_decay"] == 0.01


def test_network_without_batch_norms_has_one_group() -> None:
    layer = nn.Linear(1, 1)
    schedule = Schedule(batch_norm_weight_decay=0.0)
    optimizer = make_optimizer(schedule, layer.parameters(), batch_norm_parameters(layer))
    assert [group["params"] for group in optimizer.param_groups] == [list(layer.parameters())]


@pytest.mark.parametrize(("max_norm", "factor"), [(1.0, 0.2), (2.5, 0.5), (5.1, 1.0), (100.0, 1.0)])
def test_gradients_are_clipped_by_their_common_norm(max_norm: float, factor: float) -> None:
    """(3, 0) and (4) have norm 5 together."""
    first = nn.Parameter(torch.zeros(2))
    second = nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer(Schedule(), [first, second])
    first.grad = torch.tensor([3.0, 0.0])
    second.grad = torch.tensor([4.0])
    clip_gradients(optimizer, torch.tensor(5.0), max_norm)
    torch.testing.assert_close(first.grad, torch.tensor([3.0 * factor, 0.0]))
    torch.testing.assert_close(second.grad, torch.tensor([4.0 * factor]))
