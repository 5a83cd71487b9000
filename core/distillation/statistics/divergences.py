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
    """Return the mean of a divergence over the batch, scalar, divided by what ``reduction`` says.

    batch_mean: by nothing. mean: by ``classes``, as torch's KLDivLoss does by default and so some
    authors' code. batch_mean_over_10: by 10, as RSLAD's code does for 10 and for 100 classes.
    """
    divisors = {"batch_mean": 1, "mean": classes, "batch_mean_over_10": 10}
    return divergence_B.mean() / divisors[reduction]
