"""Square Attack (Andriushchenko et al., ECCV 2020): random search with squares, without gradients.

R rows, one for each proposal; Q queries, H W image. What query q proposes depends on q and the seed alone, so an image may look
at several proposals at once: all before the first that it accepts count as refused, those after it are looked at again.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.attacks import wrong
from core.distillation.evaluation.autoattack.norms import TINY, Norm, length, steepest
from core.distillation.evaluation.autoattack.rows import Rows, Standing

FIRST_SHARE = 0.8
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries after which the square's share of the image is halved."""

FEW_WASTED, MANY_WASTED = 0.9, 0.75
"""More proposals are looked at once while so much of them counts, and fewer where it is less."""


@dataclass(frozen=True)
class Best(Rows):
    """The best image found for each that still stands, and the next query of each."""

    found_RCHW: Tensor
    lead_R: Tensor
    query_R: Tensor


class Square:
    def __init__(self, network: nn.Module, *, norm: Norm, radius: float, queries: int, rows_at_once: int) -> None:
        self.network, self.norm, self.radius = network, norm, radius
        self.queries, self.rows_at_once = queries, rows_at_once

    def search(self, rows: Rows, standing: Standing, generator: torch.Generator) -> Iterator[None]:
        """Pauses after every round of proposals."""
        images_BCHW, labels_B = rows.images_RCHW, rows.labels_R
        proposals = Proposals(images_BCHW, self.norm, self.radius, self.queries, generator)
        start_BCHW = proposals.start(images_BCHW, generator)
        logits_BK = self.look(start_BCHW)
        standing.judge(rows, logits_BK)
        query_B = torch.zeros_like(rows.owners_R)
        best = Best(rows.owners_R, images_BCHW, labels_B, start_BCHW, lead(logits_BK, labels_B), query_B)
        best = best.where(~standing.broken_B[best.owners_R])
        at_once = 1
        while len(best.owners_R):
            looked, asked = len(best.owners_R) * at_once, int(best.query_R.sum())
            best = self.round(best, at_once, proposals, standing)
            used = (int(best.query_R.sum()) - asked) / looked
            best = best.where(~standing.broken_B[best.owners_R] & (best.query_R < self.queries))
            at_once += 1 if used > FEW_WASTED else -1 if used < MANY_WASTED else 0
            at_once = min(max(1, at_once), max(1, self.rows_at_once // max(1, len(best.owners_R))))
            yield

    def round(self, best: Best, at_once: int, proposals: "Proposals", standing: Standing) -> Best:
        """``at_once`` proposals for each image; the first of them that is better is taken."""
        images = len(best.owners_R)
        each_P = torch.arange(images, device=best.owners_R.device).repeat_interleave(at_once)
        many = best.where(each_P)
        query_P = many.query_R + torch.arange(at_once, device=each_P.device).repeat(images)
        proposed_PCHW = proposals.at(query_P.clamp_max(self.queries - 1), many.images_RCHW, many.found_RCHW)
        logits_PK = self.look(proposed_PCHW)
        lead_P, wrong_P = lead(logits_PK, many.labels_R), wrong(logits_PK, many.labels_R)
        better_RP = (((lead_P < many.lead_R) | wrong_P) & (query_P < self.queries)).view(images, at_once)
        first_R, taken_R = better_RP.int().argmax(dim=1), better_RP.any(dim=1)  # argmax: the first of equal ones
        at_R = torch.arange(images, device=each_P.device) * at_once + first_R
        standing.break_rows(best, wrong_P[at_R] & taken_R, torch.where(taken_R[:, None], logits_PK[at_R], 0.0))
        return replace(
            best,
            found_RCHW=torch.where(taken_R[:, None, None, None], proposed_PCHW[at_R], best.found_RCHW),
            lead_R=torch.where(taken_R, lead_P[at_R], best.lead_R),
            query_R=best.query_R + torch.where(taken_R, first_R + 1, at_once),
        )

    def look(self, images_RCHW: Tensor) -> Tensor:
        with torch.no_grad():
            logits_RK: Tensor = self.network(images_RCHW)
        return logits_RK


def lead(logits_RK: Tensor, labels_R: Tensor) -> Tensor:
    """The label's logit less the best other one, [R]."""
    own_R1 = logits_RK.gather(1, labels_R[:, None])
    return own_R1.squeeze(1) - logits_RK.scatter(1, labels_R[:, None], -torch.inf).amax(dim=1)


class Proposals:
    """What each query proposes: where, how large, with which signs. Drawn once for all images."""

    def __init__(self, images_BCHW: Tensor, norm: Norm, radius: float, queries: int, generator: torch.Generator) -> None:
        _, channels, height, width = images_BCHW.shape
        self.norm, self.radius, self.device = norm, radius, images_BCHW.device
        self.height, self.width = height, width
        sides = [side_of(query, height, width, norm) for query in range(queries)]
        self.side_Q = torch.tensor(sides, device=self.device)
        self.corner_Q, self.other_corner_Q = self.corners(generator), self.corners(generator)
        self.signs_QC = self.draw(queries, channels, generator=generator).sub(0.5).sign()
        self.turned_Q = self.draw(queries, generator=generator) > 0.5
        if norm == "l2":
            different = sorted(set(sides))
            index_of = {side: index for index, side in enumerate(different)}
            self.pattern_of_Q = torch.tensor([index_of[side] for side in sides], device=self.device)
            largest = different[-1]
            self.patterns_SHW = torch.zeros(len(different), largest, largest, device=self.device)
            for index, side in enumerate(different):
                self.patterns_SHW[index, :side, :side] = pattern(side, self.device)

    def draw(self, *shape: int, generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.device)

    def corners(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Top and left of each query's square, [Q] each."""
        return (
            (self.draw(len(self.side_Q), generator=generator) * (self.height - self.side_Q)).long(),
            (self.draw(len(self.side_Q), generator=generator) * (self.width - self.side_Q)).long(),
        )

    def start(self, images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        """Vertical stripes in L-infinity, tiles of patterns in L2."""
        batch, channels, _, width = images_BCHW.shape
        if self.norm == "linf":
            signs = self.draw(batch, channels, 1, width, generator=generator).sub(0.5).sign()
            return (images_BCHW + self.radius * signs).clamp(0, 1)
        side = max(1, self.height // 5)
        tile = pattern(side, self.device)
        tiles_BCHW = torch.zeros_like(images_BCHW)
        first = (self.height - 5 * side) // 2 if self.height >= 5 else 0
        for top in range(first, self.height - side + 1, side):
            for left in range(first, width - side + 1, side):
                signs = self.draw(batch, channels, 1, 1, generator=generator).sub(0.5).sign()
                turned = bool(self.draw(1, generator=generator) > 0.5)
                tiles_BCHW[:, :, top : top + side, left : left + side] = (tile.T if turned else tile) * signs
        return (images_BCHW + self.radius * steepest(tiles_BCHW, "l2")).clamp(0, 1)

    def at(self, query_R: Tensor, images_RCHW: Tensor, found_RCHW: Tensor) -> Tensor:
        propose = self.square if self.norm == "linf" else self.moved_mass
        return propose(query_R, images_RCHW, found_RCHW)

    def square(self, query_R: Tensor, images_RCHW: Tensor, found_RCHW: Tensor) -> Tensor:
        """One square of one colour, all the way."""
        change = 2 * self.radius * self.signs_QC[query_R][:, :, None, None] * self.inside(query_R, self.corner_Q)
        moved_RCHW = torch.maximum(torch.minimum(found_RCHW + change, images_RCHW + self.radius), images_RCHW - self.radius)
        return moved_RCHW.clamp(0, 1)

    def moved_mass(self, query_R: Tensor, images_RCHW: Tensor, found_RCHW: Tensor) -> Tensor:
        """L2: what a second square and the unused rest of the radius have of the norm goes into the first, as a pattern."""
        delta_RCHW = found_RCHW - images_RCHW
        here, there = self.inside(query_R, self.corner_Q), self.inside(query_R, self.other_corner_Q)
        within_RC11 = channel_length(delta_RCHW * torch.maximum(here, there))
        unused_R111 = (self.radius**2 - length(delta_RCHW, "l2").square()).clamp_min(0)
        budget_RC11 = (unused_R111 / images_RCHW.shape[1] + within_RC11.square()).sqrt()
        old_RCHW = delta_RCHW * here
        fresh_RCHW = self.placed_pattern(query_R) * self.signs_QC[query_R][:, :, None, None]
        fresh_RCHW = fresh_RCHW + old_RCHW / (TINY + channel_length(old_RCHW))
        fresh_RCHW = fresh_RCHW / (TINY + channel_length(fresh_RCHW)) * budget_RC11
        delta_RCHW = torch.where(here > 0, fresh_RCHW, delta_RCHW * (1 - there))
        return (images_RCHW + self.radius * steepest(delta_RCHW, "l2")).clamp(0, 1)

    def inside(self, query_R: Tensor, corner_Q: tuple[Tensor, Tensor]) -> Tensor:
        """1 inside each row's square, else 0, [R, 1, H, W]."""
        rows_RH, columns_RW = self.offsets(query_R, corner_Q)
        side_R1 = self.side_Q[query_R][:, None]
        in_rows_RH = (rows_RH >= 0) & (rows_RH < side_R1)
        in_columns_RW = (columns_RW >= 0) & (columns_RW < side_R1)
        return (in_rows_RH[:, None, :, None] & in_columns_RW[:, None, None, :]).float()

    def offsets(self, query_R: Tensor, corner_Q: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Rows and columns of the image as counted from the square's corner, [R, H] and [R, W]."""
        top_R1, left_R1 = (corner[query_R][:, None] for corner in corner_Q)
        return torch.arange(self.height, device=self.device) - top_R1, torch.arange(self.width, device=self.device) - left_R1

    def placed_pattern(self, query_R: Tensor) -> Tensor:
        """Each row's pattern at its square, 0 elsewhere, [R, 1, H, W]."""
        last = self.patterns_SHW.shape[1] - 1
        rows_RH, columns_RW = (each.clamp(0, last) for each in self.offsets(query_R, self.corner_Q))
        which_R11 = self.pattern_of_Q[query_R][:, None, None]
        straight = self.patterns_SHW[which_R11, rows_RH[:, :, None], columns_RW[:, None, :]]
        turned = self.patterns_SHW[which_R11, columns_RW[:, None, :], rows_RH[:, :, None]]
        chosen_RHW = torch.where(self.turned_Q[query_R][:, None, None], turned, straight)
        return chosen_RHW[:, None] * self.inside(query_R, self.corner_Q)


def channel_length(images_RCHW: Tensor) -> Tensor:
    return images_RCHW.square().sum(dim=(2, 3), keepdim=True).sqrt()


def side_of(query: int, height: int, width: int, norm: Norm) -> int:
    """The square's side, in pixels: its share of the image halves after fixed numbers of queries, however many there are."""
    share = FIRST_SHARE / 2 ** sum(query > after for after in HALVINGS)
    side = round(math.sqrt(share * height * width))
    if norm == "linf":
        return min(max(side, 1), height, width)
    side = max(side, 3)
    return min(side + (side % 2 == 0), height, width)


def pattern(side: int, device: torch.device) -> Tensor:
    """L2's change inside a square, [side, side], of length 1: a hill above, and a valley below."""
    whole = torch.zeros(side, side)
    half = side // 2
    whole[:half] = hill(half, side)
    whole[half:] = -hill(side - half, side)
    return (whole / whole.square().sum().sqrt()).to(device)


def hill(height: int, width: int) -> Tensor:
    """Nested rectangles around the middle, the n-th adding 1 / n^2."""
    found = torch.zeros(height, width)
    if height == 0:
        return found
    half_height, half_width = height // 2 + 1, width // 2 + 1
    top, left = half_height - 1, half_width - 1
    for ring in range(max(half_height, half_width)):
        bottom, right = min(top + 2 * ring + 1, height), min(left + 2 * ring + 1, width)
        found[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] += 1 / (ring + 1) ** 2
        top, left = top - 1, left - 1
    return found / found.square().sum().sqrt()
