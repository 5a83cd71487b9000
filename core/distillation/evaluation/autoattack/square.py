"""Square Attack (Andriushchenko et al., ECCV 2020): random search with squares, without gradients.

R rows, one for each image that stands; P proposals, L queries ahead of an image, Q queries in all, C H W image. What query q
proposes depends on q and the seed alone, so an image may look at several proposals at once: all before the first that it
accepts count as refused, those after it are looked at again. A proposal that was refused is refused again, unseen, as long as
the image is the same.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.attacks import is_misclassified
from core.distillation.evaluation.autoattack.norms import TINY, Norm, length, steepest
from core.distillation.evaluation.autoattack.rows import Rows, Standing

FIRST_SHARE = 0.8
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries after which the square's share of the image is halved."""

FEW_WASTED, MANY_WASTED = 0.95, 0.85
"""More proposals are looked at once while so much of them counts, and fewer where it is less."""

LOOK_AHEAD = 100
"""Queries that an image may pass over at once because their answers are known."""


@dataclass(frozen=True)
class Best(Rows):
    """The best image found for each that still stands, its lead, and the next query of each."""

    found_RCHW: Tensor
    """Written to in place."""
    lead_R: Tensor
    query_R: Tensor
    since_R: Tensor
    """The first query that was made of ``found``: what was refused from there on would be refused again."""


class Square:
    def __init__(
        self, network: nn.Module, *, norm: Norm, radius: float, queries: int, rows_at_once: int
    ) -> None:
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
        best = Best(
            rows.owners_R,
            images_BCHW,
            labels_B,
            start_BCHW,
            lead(logits_BK, labels_B),
            query_B,
            query_B,
        )
        at_once = 1
        while len((best := self.unfinished(best, standing)).owners_R):
            at_once = min(max(1, at_once), max(1, self.rows_at_once // len(best.owners_R)))
            best, used = self.round(best, at_once, proposals, standing)
            at_once += 1 if used > FEW_WASTED else -1 if used < MANY_WASTED else 0
            yield

    def unfinished(self, best: Best, standing: Standing) -> Best:
        keep_R = ~standing.broken_B[best.owners_R] & (best.query_R < self.queries)
        return best if keep_R.all() else best.where(keep_R)

    def round(
        self, best: Best, at_once: int, proposals: "Proposals", standing: Standing
    ) -> tuple[Best, float]:
        """``at_once`` proposals for each image; the first of them that is better is taken. Also the share of them that counts."""
        row_P, query_P, next_R = self.choose(best, at_once, proposals)
        if not len(row_P):
            return replace(best, query_R=next_R), 1.0
        proposed_PCHW = proposals.at(query_P, best.images_RCHW[row_P], best.found_RCHW[row_P])
        logits_PK, labels_P = self.look(proposed_PCHW), best.labels_R[row_P]
        lead_P, wrong_P = lead(logits_PK, labels_P), is_misclassified(logits_PK, labels_P)
        first_R = first_of_each_row((lead_P < best.lead_R[row_P]) | wrong_P, row_P, len(next_R))
        taken_R, at_R = first_R < len(row_P), first_R.clamp_max(len(row_P) - 1)
        standing.break_rows(
            best, wrong_P[at_R] & taken_R, torch.where(taken_R[:, None], logits_PK[at_R], 0.0)
        )
        best.found_RCHW[taken_R] = proposed_PCHW[at_R[taken_R]]
        after_R = query_P[at_R] + 1
        best = replace(
            best,
            lead_R=torch.where(taken_R, lead_P[at_R], best.lead_R),
            query_R=torch.where(taken_R, after_R, next_R),
            since_R=torch.where(taken_R, after_R, best.since_R),
        )
        counts_P = torch.arange(len(row_P), device=row_P.device) <= first_R[row_P]
        return best, float(counts_P.float().mean())

    def choose(
        self, best: Best, at_once: int, proposals: "Proposals"
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Each image's next queries but those that were refused before: rows and queries, [P] each; and which come next, [R]."""
        query_RL = best.query_R[:, None] + torch.arange(
            at_once + LOOK_AHEAD, device=best.query_R.device
        )
        alike_RL = proposals.alike_Q[query_RL.clamp_max(self.queries - 1)]
        open_RL = (query_RL < self.queries) & (alike_RL < best.since_R[:, None])
        within_RL = open_RL.cumsum(dim=1) <= at_once
        row_P, column_P = (open_RL & within_RL).nonzero(as_tuple=True)
        return row_P, query_RL[row_P, column_P], best.query_R + within_RL.sum(dim=1)

    def look(self, images_RCHW: Tensor) -> Tensor:
        with torch.no_grad():
            logits_RK: Tensor = self.network(images_RCHW)
        return logits_RK


def lead(logits_RK: Tensor, labels_R: Tensor) -> Tensor:
    """The label's logit less the best other one, [R]."""
    own_R1 = logits_RK.gather(1, labels_R[:, None])
    return own_R1.squeeze(1) - logits_RK.scatter(1, labels_R[:, None], -torch.inf).amax(dim=1)


def first_of_each_row(marked_P: Tensor, row_P: Tensor, rows: int) -> Tensor:
    """Where each row's first marked proposal is, [R]; P where it has none."""
    places_P = torch.arange(len(row_P), device=row_P.device).where(marked_P, len(row_P))
    return torch.full((rows,), len(row_P), device=row_P.device).scatter_reduce(
        0, row_P, places_P, "amin"
    )


class Proposals:
    """What each query proposes: where, how large, with which signs. Drawn once for all images."""

    def __init__(
        self,
        images_BCHW: Tensor,
        norm: Norm,
        radius: float,
        queries: int,
        generator: torch.Generator,
    ) -> None:
        _, channels, height, width = images_BCHW.shape
        self.norm, self.radius, self.device = norm, radius, images_BCHW.device
        self.height, self.width = height, width
        sides = [side_of(query, height, width, norm) for query in range(queries)]
        self.side_Q = torch.tensor(sides, device=self.device)
        self.corner_Q, self.other_corner_Q = self.corners(generator), self.corners(generator)
        self.signs_QC = self.draw(queries, channels, generator=generator).sub(0.5).sign()
        self.turned_Q = self.draw(queries, generator=generator) > 0.5
        self.alike_Q = self.alike()
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

    def alike(self) -> Tensor:
        """For each query the last one before it that proposes the same, [Q]; -1 where there is none."""
        parts = [self.side_Q, *self.corner_Q, *self.signs_QC.T]
        if self.norm == "l2":
            parts += [*self.other_corner_Q, self.turned_Q]
        _, kind_Q = torch.unique(
            torch.stack([part.long() for part in parts], dim=1), dim=0, return_inverse=True
        )
        order_Q = kind_Q.argsort(stable=True)
        same = kind_Q[order_Q[1:]] == kind_Q[order_Q[:-1]]
        alike_Q = torch.full_like(order_Q, -1)
        alike_Q[order_Q[1:][same]] = order_Q[:-1][same]
        return alike_Q

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
                tiles_BCHW[:, :, top : top + side, left : left + side] = (
                    tile.T if turned else tile
                ) * signs
        return (images_BCHW + self.radius * steepest(tiles_BCHW, "l2")).clamp(0, 1)

    def at(self, query_R: Tensor, images_RCHW: Tensor, found_RCHW: Tensor) -> Tensor:
        propose = self.square if self.norm == "linf" else self.moved_mass
        return propose(query_R, images_RCHW, found_RCHW)

    def square(self, query_R: Tensor, images_RCHW: Tensor, found_RCHW: Tensor) -> Tensor:
        """One square of one colour, as far from the image as the radius lets it."""
        farthest_RCHW = (
            images_RCHW + self.radius * self.signs_QC[query_R][:, :, None, None]
        ).clamp_(0, 1)
        return torch.where(self.inside(query_R, self.corner_Q), farthest_RCHW, found_RCHW)

    def moved_mass(self, query_R: Tensor, images_RCHW: Tensor, found_RCHW: Tensor) -> Tensor:
        """L2: what a second square and the unused rest of the radius have of the norm goes into the first, as a pattern."""
        delta_RCHW = found_RCHW - images_RCHW
        here, there = (
            self.inside(query_R, corner).float() for corner in (self.corner_Q, self.other_corner_Q)
        )
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
        """Which pixels are inside each row's square, [R, 1, H, W]."""
        rows_RH, columns_RW = self.offsets(query_R, corner_Q)
        side_R1 = self.side_Q[query_R][:, None]
        in_rows_RH = (rows_RH >= 0) & (rows_RH < side_R1)
        in_columns_RW = (columns_RW >= 0) & (columns_RW < side_R1)
        return in_rows_RH[:, None, :, None] & in_columns_RW[:, None, None, :]

    def offsets(self, query_R: Tensor, corner_Q: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Rows and columns of the image as counted from the square's corner, [R, H] and [R, W]."""
        top_R1, left_R1 = (corner[query_R][:, None] for corner in corner_Q)
        return torch.arange(self.height, device=self.device) - top_R1, torch.arange(
            self.width, device=self.device
        ) - left_R1

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
