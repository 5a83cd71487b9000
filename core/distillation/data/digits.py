"""scikit-learn's handwritten digits: 1797 grey images of 8x8 pixels, there without a network or a file."""

import torch

from core.distillation.data.images import DataSet, Images
from core.folder import JobFolder
from core.spec.data import DIGITS

BRIGHTEST = 16


def load(_folder: JobFolder | None = None) -> DataSet:
    from sklearn.datasets import load_digits  # here: a second, which no other data set should cost

    digits = load_digits()
    images_NHW = torch.from_numpy(digits.images).mul(255 / BRIGHTEST).round().to(torch.uint8)
    everything = Images(images_NHW.unsqueeze(1), torch.from_numpy(digits.target).long())
    fifth_N = torch.arange(len(everything)) % 5 == 0
    train, test = (everything.subset(mask.nonzero().flatten()) for mask in (~fifth_N, fifth_N))
    return DataSet(train, test, DIGITS)
