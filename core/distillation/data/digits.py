"""scikit-learn's handwritten digits: 1797 grey images of 8x8 pixels, there without a network or a file."""

from importlib.metadata import distribution

import numpy as np
import torch

from core.distillation.data.images import DataSet, Images
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS

BRIGHTEST = 16
TABLE = "sklearn/datasets/data/digits.csv.gz"
"""Of scikit-learn, 64 pixels and a label a line. To import the library takes longer than many a job on this data."""


def load(_folder: JobFolder | None = None) -> DataSet:
    table_NC = torch.from_numpy(
        np.loadtxt(str(distribution("scikit-learn").locate_file(TABLE)), delimiter=",")
    )
    images_NHW = table_NC[:, :64].reshape(-1, 8, 8).mul(255 / BRIGHTEST).round().to(torch.uint8)
    everything = Images(images_NHW.unsqueeze(1), table_NC[:, 64].long())
    fifth_N = torch.arange(len(everything)) % 5 == 0
    train, test = (everything.subset(mask.nonzero().flatten()) for mask in (~fifth_N, fifth_N))
    return DataSet(train, test, DIGITS)
