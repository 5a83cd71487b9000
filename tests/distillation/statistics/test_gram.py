"""The Gram matrix of predictions over clean and adversarial images, Eq. 8."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.distillation.statistics.gram import gram


def predictions(images: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, images, classes, dtype=torch.float64, generator=generator)
    clean, adversarial = logits.softmax(dim=2)
    return clean, adversarial


def slow_gram(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Gram matrix by image and class, divided by the number of classes."""
    rows = clean.tolist() + adversarial.tolist()
    entries = [
        [sum(p * q for p, q in zip(one, other, strict=True)) / len(one) for other in rows]
        for one in rows
    ]
    return torch.tensor(entries, dtype=torch.float64)


@pytest.mark.parametrize(("images", "classes"), [(1, 2), (3, 10), (8, 4)])
def test_gram_equals_the_slow_formula(images: int, classes: int) -> None:
    """The inner product of every two predictions, over the number of classes."""
    clean, adversarial = predictions(images, classes, seed=images)
    torch.testing.assert_close(
        gram(clean, adversarial), slow_gram(clean, adversarial), rtol=1e-12, atol=1e-15
    )


def test_gram_of_one_image_by_hand() -> None:
    # Inner products 1, 1/2, 1/2, 1/2 over two classes; nothing is centred.
    matrix = gram(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
    assert matrix.tolist() == [[0.5, 0.25], [0.25, 0.25]]


@given(st.permutations(range(5)))
@settings(max_examples=25, deadline=None)
def test_gram_is_invariant_to_a_permutation_of_the_classes(order: list[int]) -> None:
    clean, adversarial = predictions(4, 5, seed=1)
    torch.testing.assert_close(
        gram(clean[:, order], adversarial[:, order]), gram(clean, adversarial)
    )


def test_permuted_images_permute_the_rows_of_every_block() -> None:
    """And the columns of every block."""
    clean, adversarial = predictions(3, 4, seed=2)
    order = [2, 0, 1]
    both = [*order, *(3 + index for index in order)]
    torch.testing.assert_close(
        gram(clean[order], adversarial[order]), gram(clean, adversarial)[both][:, both]
    )


def test_gram_is_semi_definite_with_rank_of_at_most_the_classes() -> None:
    """Symmetric, too."""
    matrix = gram(*predictions(8, 3, seed=3))
    eigenvalues = torch.linalg.eigvalsh(matrix)
    torch.testing.assert_close(matrix, matrix.T)
    assert eigenvalues.min() > -1e-14
    assert int((eigenvalues > 1e-12).sum()) == 3


def test_gradient_of_gram() -> None:
    clean, adversarial = (view.requires_grad_() for view in predictions(3, 4, seed=4))
    assert torch.autograd.gradcheck(gram, (clean, adversarial))
