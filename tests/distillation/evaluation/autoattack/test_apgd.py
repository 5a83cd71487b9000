"""APGD step by step: against a second derivation in double precision, and by hand.

R rows, D pixels of an image, C H W image.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.distillation.evaluation.autoattack import apgd
from core.distillation.evaluation.autoattack.apgd import Apgd, ApgdRows, halve_steps
from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows

CPU = torch.device("cpu")


class Recorder(nn.Module):
    """Logits are the pixels behind a first class that always leads; it records every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Tensor] = []

    def forward(self, images_RCHW: Tensor) -> Tensor:
        self.batches.append(images_RCHW.detach().clone())
        pixels_RD = images_RCHW.flatten(1)
        return torch.cat([torch.full_like(pixels_RD[:, :1], 9.0), pixels_RD], dim=1)


def wavy(pixels_RD: Tensor) -> Tensor:
    """A loss with many maxima, in the pixels' last dimension."""
    phases_D = torch.arange(pixels_RD.shape[-1], dtype=torch.float64)
    return (23 * pixels_RD + phases_D).sin().sum(-1) + 3 * pixels_RD.prod(-1)


def wavy_loss(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    return wavy(logits_RK[:, 1:])


def four_images() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(4, 1, 2, 3, dtype=torch.float64, generator=generator)


def trajectory(norm: Norm, radius: float, iterations: int) -> Tensor:
    """Return start and iterates of four images, [iterations + 1, R, D]."""
    network = Recorder()
    images_RCHW = four_images()
    labels_R = torch.zeros(4, dtype=torch.long)
    search = Apgd(network, wavy_loss, norm=norm, radius=radius, iterations=iterations).search(
        Rows(torch.arange(4), images_RCHW, labels_R),
        labels_R,
        BatchRobustness(4, CPU),
        torch.Generator().manual_seed(0),
    )
    assert sum(1 for _ in search) == iterations
    return torch.stack([batch.flatten(1) for batch in network.batches])


# -- the second derivation


def project(point_D: Tensor, image_D: Tensor, norm: Norm, radius: float) -> Tensor:
    change_D = point_D - image_D
    if norm == "linf":
        change_D = change_D.clamp(-radius, radius)
    elif change_D.norm() > radius:
        change_D = change_D * radius / change_D.norm()
    return (image_D + change_D).clamp(0, 1)


def checkpoints(iterations: int) -> set[int]:
    """Return the iterations after which the step is checked: first 22 % of all, then ever fewer.

    Each interval is 3 % of all shorter than the one before, but at least 6 %; shares are whole
    iterations, rounded down.
    """
    interval = iterations * 22 // 100
    checks = {interval}
    while interval:
        interval = max(interval - iterations * 3 // 100, iterations * 6 // 100)
        if max(checks) + interval > iterations:
            return checks
        checks.add(max(checks) + interval)
    return checks


@dataclass
class Ascent:
    """Algorithm 1 of the paper for one image."""

    image_D: Tensor
    norm: Norm
    radius: float
    points: list[Tensor] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def gradient(self, point_D: Tensor) -> Tensor:
        point_D = point_D.clone().requires_grad_()
        (gradient_D,) = torch.autograd.grad(wavy(point_D), point_D)
        return gradient_D.sign() if self.norm == "linf" else gradient_D / gradient_D.norm()

    def step(self, current_D: Tensor, previous_D: Tensor, size: float, weight: float) -> Tensor:
        z_D = project(
            current_D + size * self.gradient(current_D), self.image_D, self.norm, self.radius
        )
        z_D = current_D + weight * (z_D - current_D) + (1 - weight) * (current_D - previous_D)
        return project(z_D, self.image_D, self.norm, self.radius)

    def run(self, start_D: Tensor, iterations: int) -> Tensor:
        current_D = previous_D = start_D
        self.points = [start_D]
        self.losses = [float(wavy(start_D))]
        size = 2 * self.radius
        checked_best = self.losses[0]
        halved = True
        last_check = 0
        for iteration in range(1, iterations + 1):
            next_D = self.step(current_D, previous_D, size, 1.0 if iteration == 1 else 0.75)
            previous_D = current_D
            current_D = next_D
            self.points.append(current_D)
            self.losses.append(float(wavy(current_D)))
            if iteration in checkpoints(iterations):
                best = max(self.losses)
                few_rises = self.rises(last_check, iteration) <= 0.75 * (iteration - last_check)
                halved = few_rises or (not halved and best <= checked_best)
                checked_best = best
                last_check = iteration
                if halved:
                    size /= 2
                    current_D = self.points[self.losses.index(best)]
        return torch.stack(self.points)

    def rises(self, first: int, last: int) -> int:
        """Count the iterations whose loss rose; the first one's is compared with 0."""
        before = [0.0, *self.losses[1:]]
        return sum(self.losses[i] > before[i - 1] for i in range(first + 1, last + 1))


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.1), ("l2", 0.2), ("linf", 0.6)])
@pytest.mark.parametrize("iterations", [50, 100])
def test_every_iterate_is_that_of_a_second_derivation(
    norm: Norm, radius: float, iterations: int
) -> None:
    points_TRD = trajectory(norm, radius, iterations)
    for row, image_CHW in enumerate(four_images()):
        ascent = Ascent(image_CHW.flatten(), norm, radius)
        expected_TD = ascent.run(points_TRD[0, row], iterations)
        torch.testing.assert_close(points_TRD[:, row], expected_TD, atol=1e-5, rtol=0)


def test_the_second_derivation_checks_where_the_paper_does() -> None:
    assert sorted(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


# -- checks of the step


@pytest.mark.parametrize(
    ("iterations", "expected"),
    [
        (100, [22, 41, 57, 70, 80, 87, 93, 99]),
        (50, [11, 21, 30, 38, 45]),
        (20, [4, 7, 9, *range(10, 21)]),
        (10, [2, *range(3, 11)]),
        (2, [1, 2]),
    ],
)
def test_steps_are_checked_after_these_iterations(
    iterations: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Recorder()
    checked: list[tuple[int, int]] = []

    def record(ascent: ApgdRows, interval: int) -> ApgdRows:
        checked.append((len(network.batches) - 1, interval))
        return ascent

    monkeypatch.setattr(apgd, "halve_steps", record)
    labels_R = torch.zeros(1, dtype=torch.long)
    rows = Rows(torch.arange(1), four_images()[:1], labels_R)
    attack = Apgd(network, wavy_loss, norm="linf", radius=0.1, iterations=iterations)
    for _ in attack.search(rows, labels_R, BatchRobustness(1, CPU), torch.Generator()):
        pass
    assert [iteration for iteration, _ in checked] == expected
    starts = [0, *expected]
    assert [interval for _, interval in checked] == [
        end - start for start, end in zip(starts, expected, strict=False)
    ]


def ascent_rows(count: int, **changes: Any) -> ApgdRows:
    """Rows of one pixel, at 0.1 * row: the current point 0.5, the best point 0.7."""
    column_R111 = torch.arange(count)[:, None, None, None] / 10
    state: dict[str, Any] = {
        "targets_R": torch.zeros(count, dtype=torch.long),
        "current_RCHW": column_R111 + 0.5,
        "previous_RCHW": column_R111 + 0.45,
        "gradient_RCHW": torch.full_like(column_R111, 2.0),
        "best_RCHW": column_R111 + 0.7,
        "best_gradient_RCHW": torch.full_like(column_R111, -3.0),
        "best_loss_R": torch.full((count,), 5.0),
        "last_loss_R": torch.full((count,), 4.0),
        "rises_R": torch.full((count,), 4.0),
        "checked_loss_R": torch.full((count,), 4.5),
        "halved_R": torch.zeros(count, dtype=torch.bool),
        "step_R111": torch.full_like(column_R111, 0.08),
    }
    labels_R = torch.zeros(count, dtype=torch.long)
    return ApgdRows(torch.arange(count), column_R111, labels_R, **{**state, **changes})


def test_step_is_halved_where_it_made_too_little_progress() -> None:
    """Of four iterations more than three must rise; or else the best loss must have risen."""
    before = ascent_rows(
        6,
        # Rose in all four; in three; and four, with and without a better best, after a halving
        # and after none.
        rises_R=torch.tensor([4.0, 3.0, 0.0, 4.0, 4.0, 4.0]),
        checked_loss_R=torch.tensor([4.5, 4.5, 4.5, 5.0, 5.0, 4.9]),
        halved_R=torch.tensor([False, False, True, False, True, True]),
    )
    halved = torch.tensor([False, True, True, True, False, False])
    after = halve_steps(before, interval=4)
    assert after.halved_R.tolist() == halved.tolist()
    assert after.step_R111.flatten().tolist() == pytest.approx(
        [0.04 if row else 0.08 for row in halved.tolist()]
    )
    at_best_R111 = halved[:, None, None, None]
    expected_RCHW = torch.where(at_best_R111, before.best_RCHW, before.current_RCHW)
    assert torch.equal(after.current_RCHW, expected_RCHW)
    assert after.gradient_RCHW.flatten().tolist() == [
        -3.0 if row else 2.0 for row in halved.tolist()
    ]
    assert after.rises_R.tolist() == [0.0] * 6
    assert after.checked_loss_R.tolist() == [5.0] * 6
    for name in ("best_RCHW", "best_loss_R", "previous_RCHW", "last_loss_R"):
        assert torch.equal(getattr(after, name), getattr(before, name))


# -- single steps


class Slope(nn.Module):
    """The loss is slope x pixel, summed; the first class always leads."""

    def __init__(self, slopes: list[float]) -> None:
        super().__init__()
        self.slopes_D = torch.tensor(slopes)

    def forward(self, images_RCHW: Tensor) -> Tensor:
        loss_R1 = (images_RCHW.flatten(1) * self.slopes_D).sum(dim=1, keepdim=True)
        return torch.cat([torch.full_like(loss_R1, 99.0), loss_R1], dim=1)


def second_logit(logits_RK: Tensor, labels_R: Tensor, targets_R: Tensor) -> Tensor:
    return logits_RK[:, 1]


def one_row(image: list[float], current: list[float], previous: list[float]) -> ApgdRows:
    """A row of four pixels whose gradient is (1, 1, 0, -1) and whose step is 0.05."""

    def pixels(values: list[float]) -> Tensor:
        return torch.tensor(values).view(1, 1, 1, 4)

    rows = ascent_rows(
        1,
        current_RCHW=pixels(current),
        previous_RCHW=pixels(previous),
        gradient_RCHW=pixels([1.0, 1.0, 0.0, -1.0]),
        best_RCHW=pixels([0.3] * 4),
        best_gradient_RCHW=pixels([7.0] * 4),
        step_R111=torch.full((1, 1, 1, 1), 0.05),
    )
    return replace(rows, images_RCHW=pixels(image))


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        # Free; at the ball's border, 0.6; without a gradient; at 0. Of the step a share of 0.75,
        # of the previous step 0.25.
        (0.75, [0.52 + 0.0375 + 0.005, 0.58 + 0.015 - 0.005, 0.5 + 0.01, 0.02 - 0.015]),
        (1.0, [0.57, 0.6, 0.5, 0.0]),
    ],
)
def test_step_with_momentum_by_hand(weight: float, expected: list[float]) -> None:
    rows = one_row([0.5, 0.5, 0.5, 0.05], [0.52, 0.58, 0.5, 0.02], [0.5, 0.6, 0.46, 0.02])
    attack = Apgd(Slope([1.0] * 4), second_logit, norm="linf", radius=0.1, iterations=10)
    after = attack.step(rows, weight, BatchRobustness(1, CPU))
    assert after.current_RCHW.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(after.previous_RCHW, rows.current_RCHW)


def test_l2_step_by_hand() -> None:
    """The direction is (1, 1, 0, -1) / sqrt(3), and the ball's radius 0.06."""
    rows = one_row([0.5] * 4, [0.5] * 4, [0.5] * 4)
    attack = Apgd(Slope([1.0] * 4), second_logit, norm="l2", radius=0.06, iterations=10)
    unit = 3**-0.5
    for step, reach in ((0.05, 0.05), (0.2, 0.06)):
        stepped = replace(rows, step_R111=torch.full((1, 1, 1, 1), step))
        after = attack.step(stepped, 1.0, BatchRobustness(1, CPU))
        expected = [0.5 + reach * unit, 0.5 + reach * unit, 0.5, 0.5 - reach * unit]
        assert after.current_RCHW.flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("slope", "is_best", "rose"), [(1.0, False, False), (2.5, True, True), (1.75, False, True)]
)
def test_best_iterate_is_that_of_the_highest_loss(slope: float, is_best: bool, rose: bool) -> None:
    """The loss here is 2 x slope; the best so far is 4, the last 3."""
    rows = one_row([0.5] * 4, [0.5] * 4, [0.5] * 4)
    rows = replace(
        rows,
        gradient_RCHW=torch.zeros_like(rows.gradient_RCHW),
        best_loss_R=torch.tensor([4.0]),
        last_loss_R=torch.tensor([3.0]),
        rises_R=torch.tensor([1.0]),
    )
    attack = Apgd(Slope([slope] * 4), second_logit, norm="linf", radius=0.1, iterations=10)
    after = attack.step(rows, 0.75, BatchRobustness(1, CPU))
    assert after.best_loss_R.item() == pytest.approx(2 * slope if is_best else 4.0)
    assert after.last_loss_R.item() == pytest.approx(2 * slope)
    assert after.rises_R.item() == (2.0 if rose else 1.0)
    assert after.best_RCHW.flatten().tolist() == pytest.approx([0.5 if is_best else 0.3] * 4)
    assert after.best_gradient_RCHW.flatten().tolist() == [slope if is_best else 7.0] * 4
    assert after.gradient_RCHW.flatten().tolist() == [slope] * 4


def test_first_state_of_an_ascent() -> None:
    images_RCHW = torch.full((2, 1, 1, 3), 0.5)
    labels_R = torch.zeros(2, dtype=torch.long)
    attack = Apgd(Slope([1.0, 2.0, -1.0]), second_logit, norm="linf", radius=0.1, iterations=10)
    rows = Rows(torch.arange(2), images_RCHW, labels_R)
    generator = torch.Generator().manual_seed(0)
    ascent = attack.start(rows, labels_R, BatchRobustness(2, CPU), generator)
    start_RCHW = ascent.current_RCHW
    assert (start_RCHW - images_RCHW).abs().amax(dim=(1, 2, 3)).tolist() == pytest.approx([0.1] * 2)
    loss_R = (start_RCHW.flatten(1) * torch.tensor([1.0, 2.0, -1.0])).sum(dim=1)
    for name in ("previous_RCHW", "best_RCHW"):
        assert torch.equal(getattr(ascent, name), start_RCHW)
    for name in ("best_loss_R", "checked_loss_R"):
        torch.testing.assert_close(getattr(ascent, name), loss_R)
    assert ascent.gradient_RCHW[1].flatten().tolist() == [1.0, 2.0, -1.0]
    assert torch.equal(ascent.best_gradient_RCHW, ascent.gradient_RCHW)
    assert ascent.last_loss_R.tolist() == ascent.rises_R.tolist() == [0.0, 0.0]
    assert ascent.halved_R.tolist() == [True, True]
    assert ascent.step_R111.flatten().tolist() == pytest.approx([0.2, 0.2])


def test_start_and_every_iterate_are_looked_at() -> None:
    """An image counts as misclassified as soon as one of them is."""

    class Falls(Recorder):
        """It misclassifies the second image in one pass only."""

        def __init__(self, misclassified_pass: int) -> None:
            super().__init__()
            self.misclassified_pass = misclassified_pass

        def forward(self, images_RCHW: Tensor) -> Tensor:
            logits_RK = super().forward(images_RCHW)
            if len(self.batches) - 1 == self.misclassified_pass:
                logits_RK[1, 0] = -9.0
            return logits_RK

    labels_R = torch.zeros(2, dtype=torch.long)
    for misclassified_pass in (0, 1, 4):
        robustness = BatchRobustness(2, CPU)
        network = Falls(misclassified_pass)
        attack = Apgd(network, wavy_loss, norm="linf", radius=0.1, iterations=4)
        rows = Rows(torch.arange(2), four_images()[:2], labels_R)
        for _ in attack.search(rows, labels_R, robustness, torch.Generator()):
            pass
        assert robustness.robust_B.tolist() == [True, False]
        # Rows leave before iterations 0, 5, 10, ...
        sizes = [len(batch) for batch in network.batches]
        assert sizes == ([2, 1, 1, 1, 1] if misclassified_pass == 0 else [2] * 5)
