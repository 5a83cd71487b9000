"""What Square proposes in each query: position, size and signs of its squares.

R rows, Q queries in all, S different sides of squares, C H W image.
"""

import math

import torch
from torch import Tensor

from core.distillation.evaluation.autoattack.norms import TINY, Norm, length, steepest

FIRST_SHARE = 0.8
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries after which the square's share of the image is halved."""


class Proposals:
    """The proposals of all queries. Drawn once, for all images."""

    def __init__(
        self,
        images_RCHW: Tensor,
        norm: Norm,
        radius: float,
        queries: int,
        generator: torch.Generator,
    ) -> None:
        _, channels, height, width = images_RCHW.shape
        self.norm = norm
        self.radius = radius
        self.device = images_RCHW.device
        self.height = height
        self.width = width
        sides = [side_of(query, height, width, norm) for query in range(queries)]
        self.side_Q = torch.tensor(sides, device=self.device)
        self.corner_Q = self.draw_corners(generator)
        self.other_corner_Q = self.draw_corners(generator)
        self.signs_QC = self.draw(queries, channels, generator=generator).sub(0.5).sign()
        self.transposed_Q = self.draw(queries, generator=generator) > 0.5
        self.previous_same_Q = self.find_repeats()
        if norm == "l2":
            self.pattern_of_Q, self.patterns_SHW = patterns_of(sides, self.device)

    def draw(self, *shape: int, generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.device)

    def draw_corners(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw top and left of each query's square, [Q] each."""
        queries = len(self.side_Q)
        top_Q = self.draw(queries, generator=generator) * (self.height - self.side_Q)
        left_Q = self.draw(queries, generator=generator) * (self.width - self.side_Q)
        return top_Q.long(), left_Q.long()

    def find_repeats(self) -> Tensor:
        """Return each query's last predecessor with the same proposal, [Q]; -1 for none."""
        parts = [self.side_Q, *self.corner_Q, *self.signs_QC.T]
        if self.norm == "l2":
            parts += [*self.other_corner_Q, self.transposed_Q]
        _, kind_Q = torch.unique(
            torch.stack([part.long() for part in parts], dim=1), dim=0, return_inverse=True
        )
        # Sorted by kind, and by query within a kind: equal proposals are neighbors.
        order_Q = kind_Q.argsort(stable=True)
        same = kind_Q[order_Q[1:]] == kind_Q[order_Q[:-1]]
        previous_Q = torch.full_like(order_Q, -1)
        previous_Q[order_Q[1:][same]] = order_Q[:-1][same]
        return previous_Q

    def start(self, images_RCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Return the first candidates: vertical stripes in L-infinity, tiles of patterns in L2."""
        rows, channels, _, width = images_RCHW.shape
        if self.norm == "linf":
            signs = self.draw(rows, channels, 1, width, generator=generator).sub(0.5).sign()
            return (images_RCHW + self.radius * signs).clamp(0, 1)
        side = max(1, self.height // 5)
        tile = pattern(side, self.device)
        tiles_RCHW = torch.zeros_like(images_RCHW)
        first = (self.height - 5 * side) // 2 if self.height >= 5 else 0
        for top in range(first, self.height - side + 1, side):
            for left in range(first, width - side + 1, side):
                signs = self.draw(rows, channels, 1, 1, generator=generator).sub(0.5).sign()
                transposed = bool(self.draw(1, generator=generator) > 0.5)
                oriented = tile.T if transposed else tile
                tiles_RCHW[:, :, top : top + side, left : left + side] = oriented * signs
        return (images_RCHW + self.radius * steepest(tiles_RCHW, "l2")).clamp(0, 1)

    def propose(self, query_R: Tensor, images_RCHW: Tensor, best_RCHW: Tensor) -> Tensor:
        """Return each row's proposal, built on the best candidate."""
        if self.norm == "linf":
            return self.propose_linf(query_R, images_RCHW, best_RCHW)
        return self.propose_l2(query_R, images_RCHW, best_RCHW)

    def propose_linf(self, query_R: Tensor, images_RCHW: Tensor, best_RCHW: Tensor) -> Tensor:
        """Fill one square with one color, as far from the image as the radius allows."""
        signs_RC11 = self.signs_QC[query_R][:, :, None, None]
        farthest_RCHW = (images_RCHW + self.radius * signs_RC11).clamp_(0, 1)
        return torch.where(self.inside(query_R, self.corner_Q), farthest_RCHW, best_RCHW)

    def propose_l2(self, query_R: Tensor, images_RCHW: Tensor, best_RCHW: Tensor) -> Tensor:
        """Move norm into the first square, in the shape of a pattern.

        It comes from the second square, and from the part of the radius that is not used.
        """
        delta_RCHW = best_RCHW - images_RCHW
        first = self.inside(query_R, self.corner_Q).float()
        second = self.inside(query_R, self.other_corner_Q).float()
        within_RC11 = channel_length(delta_RCHW * torch.maximum(first, second))
        unused_R111 = (self.radius**2 - length(delta_RCHW, "l2").square()).clamp_min(0)
        budget_RC11 = (unused_R111 / images_RCHW.shape[1] + within_RC11.square()).sqrt()
        old_RCHW = delta_RCHW * first
        new_RCHW = self.placed_pattern(query_R) * self.signs_QC[query_R][:, :, None, None]
        new_RCHW = new_RCHW + old_RCHW / (TINY + channel_length(old_RCHW))
        new_RCHW = new_RCHW / (TINY + channel_length(new_RCHW)) * budget_RC11
        delta_RCHW = torch.where(first > 0, new_RCHW, delta_RCHW * (1 - second))
        return (images_RCHW + self.radius * steepest(delta_RCHW, "l2")).clamp(0, 1)

    def inside(self, query_R: Tensor, corner_Q: tuple[Tensor, Tensor]) -> Tensor:
        """Return which pixels are inside each row's square, [R, 1, H, W] bool."""
        rows_RH, columns_RW = self.offsets(query_R, corner_Q)
        side_R1 = self.side_Q[query_R][:, None]
        in_rows_RH = (rows_RH >= 0) & (rows_RH < side_R1)
        in_columns_RW = (columns_RW >= 0) & (columns_RW < side_R1)
        return in_rows_RH[:, None, :, None] & in_columns_RW[:, None, None, :]

    def offsets(self, query_R: Tensor, corner_Q: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the image's rows [R, H] and columns [R, W], counted from the square's corner."""
        top_R1 = corner_Q[0][query_R][:, None]
        left_R1 = corner_Q[1][query_R][:, None]
        rows_RH = torch.arange(self.height, device=self.device) - top_R1
        columns_RW = torch.arange(self.width, device=self.device) - left_R1
        return rows_RH, columns_RW

    def placed_pattern(self, query_R: Tensor) -> Tensor:
        """Return each row's pattern at its square, 0 elsewhere, [R, 1, H, W]."""
        last = self.patterns_SHW.shape[1] - 1
        rows_RH, columns_RW = self.offsets(query_R, self.corner_Q)
        rows_RH1 = rows_RH.clamp(0, last)[:, :, None]
        columns_R1W = columns_RW.clamp(0, last)[:, None, :]
        index_R11 = self.pattern_of_Q[query_R][:, None, None]
        straight_RHW = self.patterns_SHW[index_R11, rows_RH1, columns_R1W]
        transposed_RHW = self.patterns_SHW[index_R11, columns_R1W, rows_RH1]
        is_transposed_R11 = self.transposed_Q[query_R][:, None, None]
        chosen_RHW = torch.where(is_transposed_R11, transposed_RHW, straight_RHW)
        return chosen_RHW[:, None] * self.inside(query_R, self.corner_Q)


def channel_length(images_RCHW: Tensor) -> Tensor:
    """Return the L2 norm of each channel, [R, C, 1, 1]."""
    return images_RCHW.square().sum(dim=(2, 3), keepdim=True).sqrt()


def side_of(query: int, height: int, width: int, norm: Norm) -> int:
    """Return the side of the query's square, in pixels.

    Its share of the image halves after fixed numbers of queries, whatever their total.
    """
    share = FIRST_SHARE / 2 ** sum(query > after for after in HALVINGS)
    side = round(math.sqrt(share * height * width))
    if norm == "linf":
        return min(max(side, 1), height, width)
    side = max(side, 3)
    return min(side + (side % 2 == 0), height, width)


def patterns_of(sides: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the index of each query's pattern, [Q], and the patterns, zero-padded, [S, H, W]."""
    distinct = sorted(set(sides))
    index_of = {side: index for index, side in enumerate(distinct)}
    index_Q = torch.tensor([index_of[side] for side in sides], device=device)
    patterns_SHW = torch.zeros(len(distinct), distinct[-1], distinct[-1], device=device)
    for index, side in enumerate(distinct):
        patterns_SHW[index, :side, :side] = pattern(side, device)
    return index_Q, patterns_SHW


def pattern(side: int, device: torch.device) -> Tensor:
    """Return L2's change in a square, [side, side], of length 1: a hill above a valley."""
    values = torch.zeros(side, side)
    half = side // 2
    values[:half] = hill(half, side)
    values[half:] = -hill(side - half, side)
    return (values / values.square().sum().sqrt()).to(device)


def hill(height: int, width: int) -> Tensor:
    """Return nested rectangles around the middle, of length 1; the n-th adds 1 / n^2."""
    values = torch.zeros(height, width)
    if height == 0:
        return values
    half_height = height // 2 + 1
    half_width = width // 2 + 1
    for ring in range(max(half_height, half_width)):
        top = half_height - 1 - ring
        left = half_width - 1 - ring
        bottom = min(half_height + ring, height)
        right = min(half_width + ring, width)
        rows = slice(max(top, 0), max(bottom, 0))
        columns = slice(max(left, 0), max(right, 0))
        values[rows, columns] += 1 / (ring + 1) ** 2
    return values / values.square().sum().sqrt()
