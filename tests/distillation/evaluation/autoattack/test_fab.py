"""FAB step by step on networks of one or two pixels, by hand. R rows, K classes."""

import pytest
import torch
from torch import Tensor, nn

from core.distillation.evaluation.autoattack.fab import Fab, FabRows, onto_plane_l2, onto_plane_linf
from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows

CPU = torch.device("cpu")


class FirstPixel(nn.Module):
    """z_t - z_0 is the first pixel - 0.8, 0.9 or 1.1, by target; it records every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Tensor] = []

    def forward(self, images_RCHW: Tensor) -> Tensor:
        self.batches.append(images_RCHW.detach().clone())
        pixel_R = images_RCHW.flatten(1)[:, 0]
        return torch.stack([0 * pixel_R, pixel_R - 0.8, pixel_R - 0.9, pixel_R - 1.1], dim=1)


class Parabola(nn.Module):
    """z_1 - z_0 is -(0.8 - pixel)^2: never above 0, so that no image is misclassified."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[float] = []

    def forward(self, images_RCHW: Tensor) -> Tensor:
        self.points += images_RCHW.flatten().tolist()
        pixel_R = images_RCHW.flatten(1)[:, 0]
        return torch.stack([0 * pixel_R, -(0.8 - pixel_R).square()], dim=1)


def pixel_rows(image: list[float], current: list[float] | None = None, target: int = 1) -> FabRows:
    """One row with as many pixels as the image has."""
    shape = (1, 1, 1, len(image))
    return FabRows(
        torch.arange(1),
        torch.tensor(image, dtype=torch.float64).view(shape),
        torch.zeros(1, dtype=torch.long),
        targets_R=torch.tensor([target]),
        current_RCHW=torch.tensor(current or image, dtype=torch.float64).view(shape),
    )


def step(rows: FabRows, radius: float = 1.0, norm: Norm = "linf") -> tuple[FabRows, bool, float]:
    """Return the rows after a step, whether the image is robust, and the point that was tried."""
    network = FirstPixel()
    robustness = BatchRobustness(1, CPU)
    after = Fab(network, norm=norm, radius=radius, iterations=1).step(rows, robustness)
    return after, bool(robustness.robust_B), network.batches[-1].flatten()[0].item()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    ("current", "target", "tried"),
    [
        # Moves of 0.02 (iterate) and 0.3 (image): alpha is 0.02 / 0.32.
        (0.78, 1, 0.9375 * (0.78 + 1.05 * 0.02) + 0.0625 * (0.5 + 1.05 * 0.3)),
        # Moves of 0.1 and 0.3: alpha would be 1/4, and is at most 0.1.
        (0.7, 1, 0.9 * (0.7 + 1.05 * 0.1) + 0.1 * (0.5 + 1.05 * 0.3)),
        # The other class is 0.9 away: moves of 0.02 and 0.4, alpha 0.02 / 0.42.
        (0.88, 2, 20 / 21 * (0.88 + 1.05 * 0.02) + 1 / 21 * (0.5 + 1.05 * 0.4)),
    ],
)
def test_step_lies_between_two_projections(
    norm: Norm, current: float, target: int, tried: float
) -> None:
    """Once across the boundary, the iterate moves back to 0.9 of its way from the image."""
    after, robust, point = step(pixel_rows([0.5], [current], target), norm=norm)
    assert point == pytest.approx(tried, abs=1e-9)
    assert after.current_RCHW.item() == pytest.approx(0.5 + 0.9 * (tried - 0.5), abs=1e-9)
    assert not robust


def test_point_beyond_the_radius_is_not_recorded() -> None:
    """The point that is tried is 0.301875 from the image, and across the boundary."""
    assert step(pixel_rows([0.5], [0.78]), radius=0.301)[1]
    assert not step(pixel_rows([0.5], [0.78]), radius=0.302)[1]


def test_distance_from_the_image_is_that_of_the_norm() -> None:
    """The second pixel does not count: it keeps its place, and its distance from the image."""
    rows = pixel_rows([0.5, 0.5], [0.78, 0.9])
    # In L-infinity the distance is 0.4, in L2 0.5: between them the verdicts differ.
    distances: dict[Norm, float] = {"linf": 0.375, "l2": (0.301875**2 + 0.375**2) ** 0.5}
    for norm, distance in distances.items():
        for radius, robust in ((distance - 1e-6, True), (distance + 1e-6, False)):
            after, is_robust, _ = step(rows, radius, norm)
            assert is_robust is robust
            # 0.9375 of the iterate's second pixel and 0.0625 of the image's; 0.9 of the way.
            second = 0.5 + 0.9 * 0.9375 * 0.4
            assert after.current_RCHW.flatten()[1].item() == pytest.approx(second)


def test_point_that_is_tried_is_an_image() -> None:
    """At the end of a pixel's range a step would overshoot."""
    _, _, point = step(pixel_rows([0.5], target=3))
    assert point == 1.0


def test_iterate_that_has_not_crossed_goes_on_from_there() -> None:
    """Newton's steps to a double root go half of the way; 0.1 of a step starts at the image."""
    network = Parabola()
    labels_R = torch.zeros(1, dtype=torch.long)
    rows = Rows(torch.arange(1), torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64), labels_R)
    robustness = BatchRobustness(1, CPU)
    fab = Fab(network, norm="linf", radius=1.0, iterations=2)
    assert sum(1 for _ in fab.search(rows, labels_R + 1, robustness)) == 2
    first = 0.5 + 1.05 * 0.15
    moved = first + 1.05 * 0.5 * (0.8 - first)
    plane = first + 0.5 * (0.8 - first)
    second = 0.9 * moved + 0.1 * (0.5 + 1.05 * (plane - 0.5))
    assert network.points == pytest.approx([0.5, first, first, second], abs=1e-9)
    assert robustness.robust_B.item()


def test_search_starts_at_the_image_and_drops_broken_rows() -> None:
    network = FirstPixel()
    images_RCHW = torch.tensor([0.5, 0.7], dtype=torch.float64).view(2, 1, 1, 1)
    labels_R = torch.zeros(2, dtype=torch.long)
    robustness = BatchRobustness(2, CPU)
    rows = Rows(torch.arange(2), images_RCHW, labels_R)
    fab = Fab(network, norm="linf", radius=0.15, iterations=7)
    assert sum(1 for _ in fab.search(rows, labels_R + 1, robustness)) == 7
    assert torch.equal(network.batches[0], images_RCHW)
    assert robustness.robust_B.tolist() == [True, False]
    # Two passes an iteration; the second image leaves before iteration 5.
    assert [len(batch) for batch in network.batches] == [2] * 10 + [1] * 4


def test_search_ends_once_every_image_is_misclassified() -> None:
    network = FirstPixel()
    labels_R = torch.zeros(1, dtype=torch.long)
    rows = Rows(torch.arange(1), torch.full((1, 1, 1, 1), 0.7), labels_R)
    fab = Fab(network, norm="linf", radius=0.5, iterations=100)
    assert sum(1 for _ in fab.search(rows, labels_R + 1, BatchRobustness(1, CPU))) == 5


# -- projections


def bisected_move(norm: Norm, point_D: Tensor, normal_D: Tensor, offset: float) -> Tensor:
    """Return the shortest move by bisecting the amount t: slow, pixel by pixel."""
    gap = offset - float(normal_D @ point_D)
    direction_D = normal_D.sign() * (1 if gap > 0 else -1)
    range_D = torch.where(direction_D > 0, 1 - point_D, point_D)
    rate_D = torch.ones_like(normal_D) if norm == "linf" else normal_D.abs()

    def move(amount: float) -> Tensor:
        return direction_D * torch.minimum(amount * rate_D, range_D) * (normal_D != 0)

    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        if abs(float(normal_D @ move(middle))) < abs(gap):
            low = middle
        else:
            high = middle
    return move(high)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_moves_onto_planes_are_those_of_a_bisection(norm: Norm) -> None:
    """Some pixels are at the end of their range, some do not count, some planes are far."""
    generator = torch.Generator().manual_seed(0)
    points_RD = torch.rand(20, 9, dtype=torch.float64, generator=generator)
    points_RD[::3, :2] = torch.tensor([0.0, 1.0], dtype=torch.float64)
    normals_RD = torch.randn(20, 9, dtype=torch.float64, generator=generator)
    normals_RD[::4, 3] = 0
    ends_RD = torch.rand(20, 9, dtype=torch.float64, generator=generator)
    offsets_R = (normals_RD * ends_RD).sum(dim=1)
    offsets_R[::5] *= 100
    onto_plane = onto_plane_linf if norm == "linf" else onto_plane_l2
    moves_RD = onto_plane(points_RD, normals_RD, offsets_R)
    for row in range(20):
        expected_D = bisected_move(norm, points_RD[row], normals_RD[row], float(offsets_R[row]))
        torch.testing.assert_close(
            moves_RD[row] * (normals_RD[row] != 0), expected_D, atol=1e-4, rtol=0
        )


def test_point_on_the_plane_does_not_move() -> None:
    points_RD = torch.tensor([[0.25, 0.5]])
    normals_RD = torch.tensor([[2.0, 1.0]])
    for onto_plane in (onto_plane_linf, onto_plane_l2):
        moves_RD = onto_plane(points_RD, normals_RD, torch.tensor([1.0]))
        assert moves_RD.tolist() == [[0.0, 0.0]]
