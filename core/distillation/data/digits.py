"""scikit-learn's handwritten digits: 1797 gray images of 8x8 pixels, part of its distribution.

N images.
"""

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch

from core.atomic_files import sha256_of
from core.distillation.data.images import DataSet, Images
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS

MAX_BRIGHTNESS = 16
TEST_EVERY = 5
TABLE = "sklearn/datasets/data/digits.csv.gz"
"""In scikit-learn; 64 pixels and a label a line. It is read directly because importing the library
takes longer than many a job on this data."""


def load(_folder: JobFolder | None = None) -> DataSet:
    table_NC = torch.from_numpy(np.loadtxt(_table_path(), delimiter=","))
    pixels_NHW = table_NC[:, :64].reshape(-1, 8, 8).mul(255 / MAX_BRIGHTNESS).round()
    images = Images(pixels_NHW.to(torch.uint8).unsqueeze(1), table_NC[:, 64].long())
    is_test_N = torch.arange(len(images)) % TEST_EVERY == 0
    train = images.subset((~is_test_N).nonzero().flatten())
    test = images.subset(is_test_N.nonzero().flatten())
    return DataSet(train, test, DIGITS)


def table_sha256() -> str:
    """Return the SHA-256 of scikit-learn's file: nothing of this data set is in the store."""
    return sha256_of(_table_path())


def _table_path() -> Path:
    return Path(str(distribution("scikit-learn").locate_file(TABLE)))
