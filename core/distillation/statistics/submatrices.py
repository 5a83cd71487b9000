"""The student's own blocks pulled toward its clean block, STARSHIP Eq. 10.

M = 2N size of a matrix over both views, N size of a block.
"""

from torch import Tensor


def blocks(matrix_MM: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four quarters (1,1), (1,2), (2,1) and (2,2) of a matrix, each [N, N]."""
    half = len(matrix_MM) // 2
    return (
        matrix_MM[:half, :half],
        matrix_MM[:half, half:],
        matrix_MM[half:, :half],
        matrix_MM[half:, half:],
    )


def omega(matrix_MM: Tensor, factor: float = 0.5) -> Tensor:
    """Eq. 10: factor * sum over blocks (1,2), (2,1), (2,2) of ||block - block(1,1)||_F^2, scalar.

    The blocks are the quarters of one matrix: the student's covariance or its Gram matrix.
    """
    clean_NN, *others = blocks(matrix_MM)
    squares = [(block_NN - clean_NN).square().sum() for block_NN in others]
    return factor * (squares[0] + squares[1] + squares[2])
