"""What Square proposes and accepts: by hand, and against a search query by query.

R rows, Q queries, C H W image.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows
from core.distillation.evaluation.autoattack.square import (
    Square,
    SquareRows,
    first_of_each_row,
    margin,
)
from core.distillation.evaluation.autoattack.square_proposals import (
    Proposals,
    hill,
    pattern,
    patterns_of,
    side_of,
)

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- sizes and shapes


@pytest.mark.parametrize(
    ("query", "linf", "l2"),
    [
        # Squares of 0.8, 0.4, 0.2, ... of 1024 pixels; odd, and at least 3, in L2.
        (0, 29, 29),
        (10, 29, 29),
        (11, 20, 21),
        (50, 20, 21),
        (51, 14, 15),
        (200, 14, 15),
        (201, 10, 11),
        (500, 10, 11),
        (501, 7, 7),
        (1000, 7, 7),
        (1001, 5, 5),
        (2000, 5, 5),
        (2001, 4, 5),
        (4000, 4, 5),
        (4001, 3, 3),
        (6000, 3, 3),
        (6001, 2, 3),
        (8000, 2, 3),
        (8001, 1, 3),
        (99_999, 1, 3),
    ],
)
def test_sides_of_squares_by_hand(query: int, linf: int, l2: int) -> None:
    assert side_of(query, 32, 32, "linf") == linf
    assert side_of(query, 32, 32, "l2") == l2


def test_squares_fit_into_the_image() -> None:
    """The side follows from the area, and is at most the shorter side."""
    assert side_of(0, 4, 16, "linf") == side_of(0, 16, 4, "linf") == 4
    assert side_of(11, 4, 16, "linf") == 4
    assert side_of(51, 4, 16, "linf") == 4
    assert side_of(201, 4, 16, "linf") == 3
    assert side_of(0, 4, 4, "l2") == 4
    assert side_of(9000, 2, 8, "linf") == 1


def test_hills_by_hand() -> None:
    quarter = 0.25
    cases = {
        (1, 3): [[quarter, 1.25, quarter]],
        (2, 3): [[quarter] * 3, [quarter, 1.25, quarter]],
        (3, 3): [[quarter] * 3, [quarter, 1.25, quarter], [quarter] * 3],
        (1, 1): [[1.0]],
        (1, 5): [[1 / 9, 1 / 9 + quarter, 1 / 9 + 1.25, 1 / 9 + quarter, 1 / 9]],
    }
    for (height, width), rows in cases.items():
        values = torch.tensor(rows)
        torch.testing.assert_close(hill(height, width), values / values.norm())
    assert hill(0, 3).shape == (0, 3)


def test_pattern_is_a_hill_above_a_valley() -> None:
    """Each half has the same length, and the whole has length 1."""
    top = torch.tensor([[0.25, 1.25, 0.25]])
    bottom = torch.tensor([[0.25, 0.25, 0.25], [0.25, 1.25, 0.25]])
    expected = torch.cat([top / top.norm(), -bottom / bottom.norm()]) / 2**0.5
    torch.testing.assert_close(pattern(3, CPU), expected)
    assert pattern(1, CPU).tolist() == [[-1.0]]


def test_patterns_are_found_by_query() -> None:
    index_Q, patterns_SHW = patterns_of([5, 5, 3, 5, 3], CPU)
    assert index_Q.tolist() == [1, 1, 0, 1, 0]
    assert patterns_SHW.shape == (2, 5, 5)
    torch.testing.assert_close(patterns_SHW[0, :3, :3], pattern(3, CPU))
    assert patterns_SHW[0, 3:].abs().sum() == patterns_SHW[0, :, 3:].abs().sum() == 0
    torch.testing.assert_close(patterns_SHW[1], pattern(5, CPU))


# -- proposals


def proposals_of(
    norm: Norm, side: int, corners: list[list[int]], signs: list[list[float]], **changes: Tensor
) -> Proposals:
    """Proposals for images of 3 channels, 6 rows and 7 columns, at a radius of 0.1.

    ``corners``: top, left, and of the other square top, left, one list for each query.
    """
    queries = len(corners)
    proposals = Proposals(torch.zeros(1, 3, 6, 7), norm, 0.1, queries, seeded())
    top_Q, left_Q, other_top_Q, other_left_Q = torch.tensor(corners).T
    proposals.side_Q = torch.full((queries,), side)
    proposals.corner_Q = (top_Q, left_Q)
    proposals.other_corner_Q = (other_top_Q, other_left_Q)
    proposals.signs_QC = torch.tensor(signs)
    for name, value in changes.items():
        setattr(proposals, name, value)
    return proposals


def test_linf_proposal_by_hand() -> None:
    """Each row's square gets the image +- the radius, by channel, within [0, 1]."""
    images_RCHW = torch.rand(2, 3, 6, 7, generator=seeded(1))
    images_RCHW[0, 0, 1, 2] = 0.98
    images_RCHW[0, 1, 1, 2] = 0.03
    best_RCHW = torch.rand(2, 3, 6, 7, generator=seeded(2))
    proposals = proposals_of(
        "linf", 2, [[1, 2, 0, 0], [4, 5, 0, 0]], [[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]]
    )
    proposed_RCHW = proposals.propose(torch.tensor([0, 1]), images_RCHW, best_RCHW)
    expected_RCHW = best_RCHW.clone()
    for row, (rows, columns) in enumerate([(slice(1, 3), slice(2, 4)), (slice(4, 6), slice(5, 7))]):
        for channel in range(3):
            sign = float(proposals.signs_QC[row, channel])
            farthest = (images_RCHW[row, channel, rows, columns] + 0.1 * sign).clamp(0, 1)
            expected_RCHW[row, channel, rows, columns] = farthest
    torch.testing.assert_close(proposed_RCHW, expected_RCHW)
    assert proposed_RCHW[0, :2, 1, 2].tolist() == [1.0, 0.0]


def slow_l2_proposal(
    image_CHW: Tensor, best_CHW: Tensor, corner: list[int], signs: list[float], transposed: bool
) -> Tensor:
    """One query of Square in L2 at radius 0.1, with squares of 3 pixels, channel by channel."""
    top, left, other_top, other_left = corner
    first = (slice(top, top + 3), slice(left, left + 3))
    second = (slice(other_top, other_top + 3), slice(other_left, other_left + 3))
    change_CHW = best_CHW - image_CHW
    unused = max(0.1**2 - float(change_CHW.square().sum()), 0.0)
    shape = pattern(3, CPU).T if transposed else pattern(3, CPU)
    for channel, sign in enumerate(signs):
        change_HW = change_CHW[channel].clone()
        either = torch.zeros(6, 7)
        either[first] = 1
        either[second] = 1
        budget = (unused / 3 + float((change_HW * either).square().sum())) ** 0.5
        old = change_HW[first]
        new = sign * shape + (old / old.norm() if old.norm() > 0 else old)
        change_HW[second] = 0
        change_HW[first] = new / new.norm() * budget
        change_CHW[channel] = change_HW
    proposed_CHW: Tensor = image_CHW + 0.1 * change_CHW / change_CHW.norm()
    return proposed_CHW.clamp(0, 1)


def test_l2_proposals_equal_the_slow_formula() -> None:
    """Squares apart, overlapping, and equal; straight and transposed; with and without budget."""
    corners = [[0, 0, 3, 4], [1, 1, 2, 2], [3, 4, 3, 4], [2, 3, 0, 0]]
    signs = [[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, -1.0]]
    transposed = [False, True, True, False]
    images_RCHW = 0.2 + 0.6 * torch.rand(4, 3, 6, 7, generator=seeded(1))
    images_RCHW[3, 0] = 0.999
    changes_RCHW = torch.randn(4, 3, 6, 7, generator=seeded(2))
    lengths = torch.tensor([0.1, 0.06, 0.02, 0.09])[:, None, None, None]
    norms = changes_RCHW.flatten(1).norm(dim=1)[:, None, None, None]
    best_RCHW = images_RCHW + lengths * changes_RCHW / norms
    best_RCHW[2] = images_RCHW[2]
    proposals = proposals_of(
        "l2",
        3,
        corners,
        signs,
        transposed_Q=torch.tensor(transposed),
        pattern_of_Q=torch.zeros(4, dtype=torch.long),
        patterns_SHW=pattern(3, CPU)[None],
    )
    proposed_RCHW = proposals.propose(torch.arange(4), images_RCHW, best_RCHW)
    for row in range(4):
        expected_CHW = slow_l2_proposal(
            images_RCHW[row], best_RCHW[row], corners[row], signs[row], transposed[row]
        )
        torch.testing.assert_close(proposed_RCHW[row], expected_CHW, atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_draws_of_proposals_cover_their_ranges(norm: Norm) -> None:
    """As in the authors' code no square ends in the last row or column, unless it fills them."""
    queries = 3000
    proposals = Proposals(torch.zeros(2, 2, 8, 9), norm, 0.1, queries, seeded())
    for top_Q, left_Q in (proposals.corner_Q, proposals.other_corner_Q):
        for side in set(proposals.side_Q.tolist()):
            of_side_Q = proposals.side_Q == side
            if of_side_Q.sum() < 400:
                continue
            assert set(top_Q[of_side_Q].tolist()) == set(range(8 - side))
            assert set(left_Q[of_side_Q].tolist()) == set(range(9 - side))
    assert not torch.equal(proposals.corner_Q[0], proposals.other_corner_Q[0])
    assert proposals.signs_QC.shape == (queries, 2)
    assert set(proposals.signs_QC.flatten().tolist()) == {-1.0, 1.0}
    assert proposals.signs_QC.mean(dim=0).abs().max() < 0.1
    assert 0.45 < proposals.transposed_Q.float().mean() < 0.55
    assert proposals.side_Q.tolist() == [side_of(query, 8, 9, norm) for query in range(queries)]


def test_linf_starts_with_stripes_at_the_radius() -> None:
    images_RCHW = torch.full((20, 3, 6, 7), 0.5)
    images_RCHW[0] = 0.05
    proposals = Proposals(images_RCHW, "linf", 0.1, 5, seeded())
    start_RCHW = proposals.start(images_RCHW, seeded())
    change_RCHW = start_RCHW - images_RCHW
    torch.testing.assert_close(change_RCHW[1:].abs(), torch.full((19, 3, 6, 7), 0.1))
    assert start_RCHW[0].min() == 0
    assert torch.equal(start_RCHW, start_RCHW[:, :, :1].expand(-1, -1, 6, -1))
    assert 0.4 < (change_RCHW > 0).float().mean() < 0.6
    assert len(torch.unique(change_RCHW[1:, :, 0].reshape(-1, 7), dim=0)) > 20


@pytest.mark.parametrize(("height", "width", "side"), [(8, 8, 1), (12, 13, 2), (15, 16, 3)])
def test_l2_starts_with_tiles_of_patterns(height: int, width: int, side: int) -> None:
    """Tiles of a fifth of the height, from the middle five on to the right and lower border."""
    gray_RCHW = torch.full((6, 2, height, width), 0.5)
    proposals = Proposals(gray_RCHW, "l2", 0.1, 5, seeded())
    change_RCHW = (proposals.start(gray_RCHW, seeded()) - gray_RCHW).double()
    assert change_RCHW.flatten(1).norm(dim=1).tolist() == pytest.approx([0.1] * 6, rel=1e-4)
    first = (height - 5 * side) // 2
    rest_RCHW = change_RCHW.clone()
    tops = range(first, height - side + 1, side)
    lefts = range(first, width - side + 1, side)
    scale = 0.1 / (2 * len(tops) * len(lefts)) ** 0.5
    straight = pattern(side, CPU).double()
    signs = set()
    transposed = set()
    for top in tops:
        for left in lefts:
            tile_RCHW = change_RCHW[:, :, top : top + side, left : left + side] / scale
            products_RC = (tile_RCHW * straight).sum(dim=(2, 3))
            is_transposed = bool((products_RC.abs() < 0.999).any())
            shape = straight.T if is_transposed else straight
            products_RC = (tile_RCHW * shape).sum(dim=(2, 3))
            torch.testing.assert_close(
                products_RC.abs(), torch.ones(6, 2).double(), atol=1e-3, rtol=0
            )
            signs.update(products_RC.sign().flatten().tolist())
            transposed.add(is_transposed)
            rest_RCHW[:, :, top : top + side, left : left + side] = 0
    assert rest_RCHW.abs().max() == 0
    assert signs == {-1.0, 1.0}
    assert transposed == ({False} if side == 1 else {False, True})


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_are_images(norm: Norm) -> None:
    """Black and white ones can only become brighter, or darker."""
    images_RCHW = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 10, 10)
    proposals = Proposals(images_RCHW, norm, 3.0, 5, seeded())
    start_RCHW = proposals.start(images_RCHW, seeded())
    assert [start_RCHW.min().item(), start_RCHW.max().item()] == [0.0, 1.0]
    assert (start_RCHW != images_RCHW).flatten(1).any(dim=1).all()


# -- the search


def test_margins_and_first_marks_by_hand() -> None:
    logits_RK = torch.tensor([[1.0, 4.0, 2.5], [-1.0, -4.0, -2.0]])
    assert margin(logits_RK, torch.tensor([1, 2])).tolist() == [1.5, -1.0]
    marked_P = torch.tensor([False, True, True, False, False, True])
    row_P = torch.tensor([0, 0, 0, 1, 3, 3])
    assert first_of_each_row(marked_P, row_P, 4).tolist() == [1, 6, 6, 5]


class CurvedNetwork(nn.Module):
    """Three classes of gray images of 6x6 pixels, by fixed weights; it counts its images."""

    def __init__(self) -> None:
        super().__init__()
        self.first_DF = torch.randn(36, 12, generator=seeded(1))
        self.second_FK = torch.randn(12, 3, generator=seeded(2))
        self.images = 0

    def forward(self, images_RCHW: Tensor) -> Tensor:
        self.images += len(images_RCHW)
        return (images_RCHW.flatten(1) @ self.first_DF / 3).tanh() @ self.second_FK


def classified_images(count: int) -> tuple[Tensor, Tensor]:
    """Return images and the classes that the network gives them."""
    images_RCHW = torch.rand(count, 1, 6, 6, generator=seeded(3))
    return images_RCHW, CurvedNetwork()(images_RCHW).argmax(dim=1)


class RecordingSquare(Square):
    """It records the latest candidate of each image, and the query that comes next."""

    def __init__(self, network: nn.Module, norm: Norm, radius: float, queries: int) -> None:
        super().__init__(network, norm=norm, radius=radius, queries=queries, rows_at_once=60)
        self.latest: dict[int, Tensor] = {}
        self.next_query: dict[int, int] = {}

    def unfinished(self, search: SquareRows, robustness: BatchRobustness) -> SquareRows:
        for row, image in enumerate(search.image_index_R.tolist()):
            self.latest[image] = search.best_RCHW[row].clone()
            self.next_query[image] = int(search.next_query_R[row])
        return super().unfinished(search, robustness)


def slow_search(
    square: Square, images_RCHW: Tensor, labels_R: Tensor
) -> Iterator[tuple[Tensor, bool, int]]:
    """Query by query: yield each image's last candidate, whether it is robust, and its queries."""
    generator = seeded(4)
    arguments = (square.norm, square.radius, square.queries, generator)
    proposals = Proposals(images_RCHW, *arguments)
    start_RCHW = proposals.start(images_RCHW, generator)
    for row, label in enumerate(labels_R.tolist()):
        image_1CHW = images_RCHW[row : row + 1]

        def lead(candidate_1CHW: Tensor, label: int = label) -> float:
            logits = square.network(candidate_1CHW)[0].tolist()
            return float(logits[label] - max(logits[:label] + logits[label + 1 :]))

        best_1CHW = start_RCHW[row : row + 1]
        best = lead(best_1CHW)
        query = 0
        while best > 0 and query < square.queries:
            proposed_1CHW = proposals.propose(torch.tensor([query]), image_1CHW, best_1CHW)
            if lead(proposed_1CHW) < best:
                best_1CHW = proposed_1CHW
                best = lead(best_1CHW)
            query += 1
        yield best_1CHW[0], best > 0, query


@pytest.mark.parametrize(
    ("norm", "radius"), [("linf", 0.02), ("linf", 0.12), ("l2", 0.1), ("l2", 0.8)]
)
def test_search_accepts_what_a_search_query_by_query_does(norm: Norm, radius: float) -> None:
    images_RCHW, labels_R = classified_images(16)
    for queries in (1, 6, 30):
        square = RecordingSquare(CurvedNetwork(), norm, radius, queries)
        robustness = BatchRobustness(16, CPU)
        rows = Rows(torch.arange(16), images_RCHW, labels_R)
        for _ in square.search(rows, robustness, seeded(4)):
            pass
        expected = list(slow_search(square, images_RCHW, labels_R))
        for image, (best_CHW, robust, next_query) in enumerate(expected):
            assert robustness.robust_B[image] == robust
            torch.testing.assert_close(square.latest[image], best_CHW)
            if not robust:
                assert square.next_query[image] == next_query


def test_image_that_withstands_gets_the_start_and_every_query(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Proposals, "find_repeats", lambda self: torch.full((30,), -1))
    for rows_at_once in (1, 2, 64):
        network = CurvedNetwork()
        images_RCHW, labels_R = classified_images(2)
        square = Square(network, norm="linf", radius=1e-4, queries=30, rows_at_once=rows_at_once)
        rows = Rows(torch.arange(2), images_RCHW, labels_R)
        robustness = BatchRobustness(2, CPU)
        for _ in square.search(rows, robustness, seeded()):
            pass
        assert robustness.robust_B.all()
        if rows_at_once == 1:
            assert network.images == 2 * (1 + 30)
        assert network.images >= 2 * (1 + 30)
