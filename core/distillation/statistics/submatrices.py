"""The student's own blocks pulled toward its clean block, STARSHIP Eq. 10."""

from torch import Tensor


def blocks(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four quarters (1,1), (1,2), (2,1), (2,2) of a [2N, 2N] matrix, each [N, N]."""
    half = len(matrix) // 2
    return matrix[:half, :half], matrix[:half, half:], matrix[half:, :half], matrix[half:, half:]


def omega(matrix: Tensor, factor: float = 0.5) -> Tensor:
    """factor * sum over blocks (1,2), (2,1), (2,2) of ||block - block(1,1)||_F^2 of one [2N, 2N] matrix, scalar."""
    clean, *others = blocks(matrix)
    squares = [(block - clean).square().sum() for block in others]
    return factor * (squares[0] + squares[1] + squares[2])
