from pathlib import Path

import torch
from sklearn.datasets import load_digits

from core.distillation.data import load
from core.job_folder import JobFolder
from core.jobspec.data import DIGITS
from tests.distillation.data.builders import in_memory, labels_of


def digits_folder(path: Path) -> JobFolder:
    folder = JobFolder(path)
    folder.dataset_description.write_text(DIGITS.model_dump_json())
    return folder


def test_digits_match_their_description(tmp_path: Path) -> None:
    dataset = load(digits_folder(tmp_path))
    assert dataset.description == DIGITS
    assert in_memory(dataset.train).images_NCHW.shape == (1437, 1, 8, 8)
    assert in_memory(dataset.test).images_NCHW.shape == (360, 1, 8, 8)
    assert set(labels_of(dataset.train)) == set(labels_of(dataset.test)) == set(range(10))


def test_digits_use_the_whole_range_of_a_byte(tmp_path: Path) -> None:
    pixels = in_memory(load(digits_folder(tmp_path)).train).images_NCHW
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)
    assert len(torch.unique(pixels)) == 17


def test_every_fifth_digit_is_a_test_image(tmp_path: Path) -> None:
    """The first digit is one."""
    dataset = load(digits_folder(tmp_path))
    source = load_digits()
    assert labels_of(dataset.test) == source.target[::5].tolist()
    images_BHW = (dataset.test.batch(torch.arange(360))[0] * 16).squeeze(1)
    expected_BHW = torch.from_numpy(source.images[::5]).float()
    assert torch.allclose(images_BHW, expected_BHW, atol=0.04)
