"""Divergences between predictions. B batch size, K classes."""

from torch import Tensor
from torch.nn.functional import log_softmax

from core.jobspec.training.methods import Reduction


def kl(p_logits_BK: Tensor, q_logits_BK: Tensor) -> Tensor:
    """Return KL(p || q) per example, [B], in nats.

    Summed over K, not averaged, so its size does not depend on K. p = softmax(p_logits),
    q = softmax(q_logits). Gradients flow through both: detach what is a constant target.
    """
    p_log_BK = log_softmax(p_logits_BK, dim=1)
    q_log_BK = log_softmax(q_logits_BK, dim=1)
    return (p_log_BK.exp() * (p_log_BK - q_log_BK)).sum(dim=1)


def reduce_divergence(divergence_B: Tensor, reduction: Reduction, *, classes: int) -> Tensor:
    """Return the mean of a divergence over the batch, scalar; for "mean" over the classes as well.

    "mean" is what some authors' code does: their loss is smaller by a factor of ``classes``.
    """
    divisor = classes if reduction == "mean" else 1
    return divergence_B.mean() / divisor
