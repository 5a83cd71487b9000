"""Square Attack (Andriushchenko et al., ECCV 2020): random search with squares, no gradients.

What query q proposes depends on q and the seed alone. So several proposals of one image can be
evaluated at once: those before the first accepted one count as rejected, those after it are
evaluated again later, because they build on an image that has changed. And a proposal that was
rejected would be rejected again for as long as the image is the same, so it is not evaluated twice.

R rows, one for each image; P proposals in one batch; L queries ahead of a row's next; Q queries in
all; S different sides of squares; C H W image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.distillation.evaluation.attacks import is_misclassified
from core.distillation.evaluation.autoattack.norms import Norm
from core.distillation.evaluation.autoattack.rows import BatchRobustness, Rows
from core.distillation.evaluation.autoattack.square_proposals import Proposals

MORE_ABOVE = 0.95
FEWER_BELOW = 0.85
"""More proposals are evaluated at once while a larger share of them than this counts as a query;
fewer where the share is smaller."""

LOOK_AHEAD = 100
"""Queries that a row may skip at once because their proposals are known to be rejected."""


@dataclass(frozen=True)
class SquareRows(Rows):
    """The state of the search in each row."""

    best_RCHW: Tensor
    """The best candidate so far. Written to in place."""
    margin_R: Tensor
    """The label's logit minus the best other one, of the best candidate."""
    next_query_R: Tensor
    best_since_R: Tensor
    """First query that was built on the best candidate. What was rejected from there on would be
    rejected again."""


class Square:
    def __init__(
        self, network: nn.Module, *, norm: Norm, radius: float, queries: int, rows_at_once: int
    ) -> None:
        """``rows_at_once`` bounds the images in one forward pass."""
        self.network = network
        self.norm = norm
        self.radius = radius
        self.queries = queries
        self.rows_at_once = rows_at_once

    def search(
        self, rows: Rows, robustness: BatchRobustness, generator: torch.Generator
    ) -> Iterator[None]:
        """Attack the rows, and record misclassified images. Yields after each round."""
        images_RCHW = rows.images_RCHW
        proposals = Proposals(images_RCHW, self.norm, self.radius, self.queries, generator)
        start_RCHW = proposals.start(images_RCHW, generator)
        logits_RK = self.logits(start_RCHW)
        robustness.record_logits(rows, logits_RK)
        query_R = torch.zeros_like(rows.image_index_R)
        search = SquareRows(
            rows.image_index_R,
            images_RCHW,
            rows.labels_R,
            best_RCHW=start_RCHW,
            margin_R=margin(logits_RK, rows.labels_R),
            next_query_R=query_R,
            best_since_R=query_R,
        )
        at_once = 1
        while len((search := self.unfinished(search, robustness)).image_index_R):
            room = max(1, self.rows_at_once // len(search.image_index_R))
            at_once = min(max(1, at_once), room)
            search, counted = self.round(search, at_once, proposals, robustness)
            at_once += 1 if counted > MORE_ABOVE else -1 if counted < FEWER_BELOW else 0
            yield

    def unfinished(self, search: SquareRows, robustness: BatchRobustness) -> SquareRows:
        """Return the rows of robust images that have queries left."""
        robust_R = robustness.robust_B[search.image_index_R]
        selection_R = robust_R & (search.next_query_R < self.queries)
        return search if selection_R.all() else search.select(selection_R)

    def round(
        self,
        search: SquareRows,
        at_once: int,
        proposals: Proposals,
        robustness: BatchRobustness,
    ) -> tuple[SquareRows, float]:
        """Evaluate up to ``at_once`` proposals in each row, and accept its first that is better.

        Also returns the share of the proposals that count as queries: an accepted one, and those
        before it.
        """
        row_P, query_P, next_query_R = self.next_queries(search, at_once, proposals)
        if not len(row_P):
            return replace(search, next_query_R=next_query_R), 1.0
        proposed_PCHW = proposals.propose(
            query_P, search.images_RCHW[row_P], search.best_RCHW[row_P]
        )
        logits_PK = self.logits(proposed_PCHW)
        labels_P = search.labels_R[row_P]
        margin_P = margin(logits_PK, labels_P)
        misclassified_P = is_misclassified(logits_PK, labels_P)
        better_P = (margin_P < search.margin_R[row_P]) | misclassified_P
        first_R = first_of_each_row(better_P, row_P, len(next_query_R))
        accepted_R = first_R < len(row_P)
        place_R = first_R.clamp_max(len(row_P) - 1)
        # A row without an accepted proposal gets zeros for logits: finite, so nothing is recorded.
        logits_RK = torch.where(accepted_R[:, None], logits_PK[place_R], 0.0)
        robustness.record_misclassified(search, misclassified_P[place_R] & accepted_R, logits_RK)
        search.best_RCHW[accepted_R] = proposed_PCHW[place_R[accepted_R]]
        following_R = query_P[place_R] + 1
        search = replace(
            search,
            margin_R=torch.where(accepted_R, margin_P[place_R], search.margin_R),
            next_query_R=torch.where(accepted_R, following_R, next_query_R),
            best_since_R=torch.where(accepted_R, following_R, search.best_since_R),
        )
        counts_P = torch.arange(len(row_P), device=row_P.device) <= first_R[row_P]
        return search, float(counts_P.float().mean())

    def next_queries(
        self, search: SquareRows, at_once: int, proposals: Proposals
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Choose each row's next queries, without those whose proposals were rejected already.

        Returns the row and the query of each proposal, [P] each, and the query that follows, [R].
        """
        offsets_L = torch.arange(at_once + LOOK_AHEAD, device=search.next_query_R.device)
        query_RL = search.next_query_R[:, None] + offsets_L
        previous_RL = proposals.previous_same_Q[query_RL.clamp_max(self.queries - 1)]
        new_RL = previous_RL < search.best_since_R[:, None]
        new_RL = (query_RL < self.queries) & new_RL
        within_RL = new_RL.cumsum(dim=1) <= at_once
        row_P, column_P = (new_RL & within_RL).nonzero(as_tuple=True)
        return row_P, query_RL[row_P, column_P], search.next_query_R + within_RL.sum(dim=1)

    def logits(self, images_RCHW: Tensor) -> Tensor:
        with torch.no_grad():
            logits_RK: Tensor = self.network(images_RCHW)
        return logits_RK


def margin(logits_RK: Tensor, labels_R: Tensor) -> Tensor:
    """Return the label's logit minus the best other one, [R]."""
    label_logits_R1 = logits_RK.gather(1, labels_R[:, None])
    best_other_R = logits_RK.scatter(1, labels_R[:, None], -torch.inf).amax(dim=1)
    return label_logits_R1.squeeze(1) - best_other_R


def first_of_each_row(marked_P: Tensor, row_P: Tensor, rows: int) -> Tensor:
    """Return the index of each row's first marked proposal, [R]; P where a row has none."""
    indices_P = torch.arange(len(row_P), device=row_P.device).where(marked_P, len(row_P))
    none_R = torch.full((rows,), len(row_P), device=row_P.device)
    return none_R.scatter_reduce(0, row_P, indices_P, "amin")
