from pathlib import Path

import torch
from sklearn.datasets import load_digits

from core.distillation.data import load
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS


def digits_folder(path: Path) -> JobFolder:
    folder = JobFolder(path)
    folder.dataset_description.write_text(DIGITS.model_dump_json())
    return folder


def test_digits_are_what_their_description_says(tmp_path: Path):
    dataset = load(digits_folder(tmp_path))
    assert dataset.description == DIGITS
    assert dataset.train.images_NCHW.shape == (1437, 1, 8, 8)
    assert dataset.test.images_NCHW.shape == (360, 1, 8, 8)
    assert (
        set(dataset.train.labels_N.tolist())
        == set(dataset.test.labels_N.tolist())
        == set(range(10))
    )


def test_digits_use_the_whole_range_of_a_byte(tmp_path: Path):
    pixels = load(digits_folder(tmp_path)).train.images_NCHW
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(pixels.unique()) == 17


def test_every_fifth_digit_from_the_first_is_a_test_image(tmp_path: Path):
    dataset, source = load(digits_folder(tmp_path)), load_digits()
    assert dataset.test.labels_N.tolist() == source.target[::5].tolist()
    shown = dataset.test.batch(torch.arange(360))[0] * 16
    assert torch.allclose(shown.squeeze(1), torch.from_numpy(source.images[::5]).float(), atol=0.04)
