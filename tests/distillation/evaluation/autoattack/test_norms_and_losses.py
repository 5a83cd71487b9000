"""Lengths, balls and losses of AutoAttack, by hand. B images, R rows, K classes."""

import math

import pytest
import torch
from torch import Tensor

from core.distillation.evaluation.autoattack.losses import (
    cross_entropy,
    targeted_dlr,
    targeted_margin,
)
from core.distillation.evaluation.autoattack.norms import (
    Norm,
    length,
    project,
    random_start,
    steepest,
)
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows


def images(*rows: list[float]) -> Tensor:
    """Images of one channel and one row of pixels."""
    return torch.tensor(rows)[:, None, None, :]


def test_lengths_by_hand() -> None:
    differences = torch.tensor([[[3.0, -4.0]], [[0.0, 0.0]]])[:, :, :, None].expand(2, 1, 2, 1)
    assert length(differences, "linf").flatten().tolist() == [4.0, 0.0]
    assert length(differences, "l2").flatten().tolist() == [5.0, 0.0]
    assert length(differences, "l2").shape == (2, 1, 1, 1)
    two_channels = torch.tensor([[[[1.0]], [[-2.0]], [[2.0]]]])
    assert length(two_channels, "l2").item() == 3.0
    assert length(two_channels, "linf").item() == 2.0


def test_projections_by_hand() -> None:
    centers = images([0.5, 0.5], [0.5, 0.5], [0.1, 0.9])
    points = images([0.9, 0.45], [0.53, 0.54], [-0.3, 1.2])
    expected_linf = images([0.6, 0.45], [0.53, 0.54], [0.0, 1.0])
    torch.testing.assert_close(project(points, centers, 0.1, "linf"), expected_linf)
    # Distances 0.403, 0.05 and 0.5: the first and the last shrink to 0.1.
    shrunk = 0.1 / math.hypot(0.4, 0.05)
    expected_l2 = images(
        [0.5 + 0.4 * shrunk, 0.5 - 0.05 * shrunk], [0.53, 0.54], [0.1 - 0.08, 0.9 + 0.06]
    )
    torch.testing.assert_close(project(points, centers, 0.1, "l2"), expected_l2)
    at_borders = project(images([-2.0, 3.0]), images([0.05, 0.95]), 0.4, "l2")
    torch.testing.assert_close(at_borders, images([0.0, 1.0]))


def test_directions_by_hand() -> None:
    gradient = images([3e-5, -4e-5, 0.0])
    assert steepest(gradient, "linf").flatten().tolist() == [1.0, -1.0, 0.0]
    torch.testing.assert_close(steepest(gradient, "l2"), images([0.6, -0.8, 0.0]))
    assert steepest(torch.zeros(1, 1, 1, 2), "l2").flatten().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_are_on_the_surface_of_the_ball(norm: Norm) -> None:
    gray = torch.full((50, 1, 4, 4), 0.5)
    start = random_start(gray, 0.1, norm, torch.Generator().manual_seed(0))
    distances = length(start - gray, norm).flatten()
    torch.testing.assert_close(distances, torch.full((50,), 0.1))
    assert 0.4 < (start > gray).float().mean() < 0.6
    again = random_start(gray, 0.1, norm, torch.Generator().manual_seed(0))
    assert torch.equal(start, again)
    far = random_start(gray, 30.0, norm, torch.Generator().manual_seed(0))
    assert [far.min().item(), far.max().item()] == [0, 1]


def test_start_is_uniform_in_linf_and_normal_in_l2() -> None:
    """Before they are scaled: the same noise, drawn here, gives the same starts."""
    gray = torch.full((3, 1, 2, 2), 0.5)
    uniform = torch.empty(3, 1, 2, 2).uniform_(-1, 1, generator=torch.Generator().manual_seed(5))
    normal = torch.empty(3, 1, 2, 2).normal_(generator=torch.Generator().manual_seed(5))
    expected_linf = gray + 0.1 * uniform / uniform.abs().amax(dim=(1, 2, 3), keepdim=True)
    expected_l2 = gray + 0.1 * normal / normal.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
    expected: dict[Norm, Tensor] = {"linf": expected_linf, "l2": expected_l2}
    for norm, expected_BCHW in expected.items():
        start_BCHW = random_start(gray, 0.1, norm, torch.Generator().manual_seed(5))
        torch.testing.assert_close(start_BCHW, expected_BCHW)


# -- losses

LOGITS_RK = torch.tensor([[1.0, 5.0, 3.0, 2.0, 0.0], [4.0, -1.0, 0.5, 4.0, 2.0]])
LABELS_R = torch.tensor([1, 4])
TARGETS_R = torch.tensor([2, 0])


def test_losses_by_hand() -> None:
    # Sorted: 5 3 2 1 0 and 4 4 2 0.5 -1.
    expected_dlr = [-(5 - 3) / (5 - (2 + 1) / 2), -(2 - 4) / (4 - (2 + 0.5) / 2)]
    assert targeted_dlr(LOGITS_RK, LABELS_R, TARGETS_R).tolist() == pytest.approx(expected_dlr)
    assert targeted_margin(LOGITS_RK, LABELS_R, TARGETS_R).tolist() == [3.0 - 5.0, 4.0 - 2.0]
    sums = [sum(math.exp(value) for value in row) for row in LOGITS_RK.tolist()]
    expected = [math.log(sums[0]) - 5, math.log(sums[1]) - 2]
    assert cross_entropy(LOGITS_RK, LABELS_R, TARGETS_R).tolist() == pytest.approx(expected)


def test_dlr_ignores_shift_and_scale_of_the_logits() -> None:
    expected_R = targeted_dlr(LOGITS_RK, LABELS_R, TARGETS_R)
    torch.testing.assert_close(targeted_dlr(7 * LOGITS_RK - 3, LABELS_R, TARGETS_R), expected_R)


def test_dlr_of_equal_logits_is_zero_with_a_finite_gradient() -> None:
    logits_RK = torch.zeros(1, 4, requires_grad=True)
    loss_R = targeted_dlr(logits_RK, torch.tensor([0]), torch.tensor([1]))
    (gradient_RK,) = torch.autograd.grad(loss_R.sum(), logits_RK)
    assert loss_R.tolist() == [0.0]
    assert gradient_RK.isfinite().all()


# -- rows


def five_rows() -> Rows:
    """Rows of the images 0, 1, 1, 2, 2, labeled 0."""
    return Rows(torch.tensor([0, 1, 1, 2, 2]), torch.zeros(5, 1, 1, 1), torch.zeros(5).long())


def test_one_misclassified_row_is_enough_for_its_image() -> None:
    robustness = BatchRobustness(4, torch.device("cpu"))
    nan = float("nan")
    logits_RK = torch.tensor([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 1.0], [nan, 1.0]])
    robustness.record_logits(five_rows(), logits_RK)
    assert robustness.misclassified_B.tolist() == [False, True, True, False]
    assert robustness.non_finite_B.tolist() == [False, False, True, False]
    # What was recorded stays.
    robustness.record_logits(five_rows(), torch.tensor([[2.0, 1.0]] * 5))
    assert robustness.robust_B.tolist() == [True, False, False, True]
    assert robustness.non_finite_B.tolist() == [False, False, True, False]


def test_only_the_rows_that_the_attack_names_are_recorded() -> None:
    """FAB and Square may cross the boundary without an adversarial image within the radius."""
    robustness = BatchRobustness(3, torch.device("cpu"))
    logits_RK = torch.tensor([[1.0, 2.0]] * 5)
    misclassified_R = torch.tensor([False, False, True, False, False])
    robustness.record_misclassified(five_rows(), misclassified_R, logits_RK)
    assert robustness.robust_B.tolist() == [True, False, True]
    logits_RK[4] = float("inf")
    robustness.record_misclassified(five_rows(), misclassified_R & False, logits_RK)
    assert robustness.robust_B.tolist() == [True, False, False]


def test_misclassified_rows_leave_every_fifth_iteration() -> None:
    robustness = BatchRobustness(3, torch.device("cpu"))
    rows = five_rows()
    assert robustness.drop_misclassified(rows, 5) is rows
    robustness.misclassified_B[1] = True
    sizes = [
        len(robustness.drop_misclassified(rows, iteration).labels_R) for iteration in range(11)
    ]
    assert sizes == [3, 5, 5, 5, 5, 3, 5, 5, 5, 5, 3]
    assert robustness.drop_misclassified(rows, 0).image_index_R.tolist() == [0, 2, 2]
