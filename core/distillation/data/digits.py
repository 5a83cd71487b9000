"""scikit-learn's handwritten digits: 1797 gray images of 8x8 pixels, part of its distribution.

N images.
"""

from importlib.metadata import distribution

import numpy as np
import torch

from core.distillation.data.images import DataSet, Images
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS

MAX_BRIGHTNESS = 16
TEST_EVERY = 5
TABLE = "sklearn/datasets/data/digits.csv.gz"
"""In scikit-learn; 64 pixels and a label a line. It is read directly because importing the library
takes longer than many a job on this data."""


def load(_folder: JobFolder | None = None) -> DataSet:
    path = distribution("scikit-learn").locate_file(TABLE)
    table_NC = torch.from_numpy(np.loadtxt(str(path), delimiter=","))
    pixels_NHW = table_NC[:, :64].reshape(-1, 8, 8).mul(255 / MAX_BRIGHTNESS).round()
    images = Images(pixels_NHW.to(torch.uint8).unsqueeze(1), table_NC[:, 64].long())
    is_test_N = torch.arange(len(images)) % TEST_EVERY == 0
    train = images.subset((~is_test_N).nonzero().flatten())
    test = images.subset(is_test_N.nonzero().flatten())
    return DataSet(train, test, DIGITS)
