"""Encoded images: what is stored, what a batch is made of, and damaged files in a job's folder."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from core.distillation import seeds
from core.distillation.data import load, split
from core.distillation.data.augmentation import augment
from core.distillation.data.batches import Batches
from core.distillation.data.resized_crop import DRAWS_PER_BOX, random_box
from core.errors import JobFailed
from core.job_folder import JobFolder
from core.jobspec.data import Augmentation, ResizedCrop
from tests.distillation.data.builders import (
    ImportEncoded,
    labels_of,
    photo_file,
    photo_folders,
    zip_of,
)

CPU = torch.device("cpu")
CROP = Augmentation(resized_crop=ResizedCrop(), flip=True)


# -- batches


def test_test_image_is_its_middle_scaled_by_the_shorter_side(
    import_encoded: ImportEncoded,
) -> None:
    """As if the shorter side were scaled to 256/224 of the size, and the middle cut out."""
    # Sizes whose scaled sides are whole and even: for others the two steps round, and one box does
    # not.
    sizes = {"a.jpeg": (192, 128), "b.png": (64, 160), "c.webp": (80, 40), "d.png": (640, 640)}
    files = {
        f"test/cat/{name}": photo_file(size, image_format=name[2:].upper())
        for name, size in sizes.items()
    }
    upload = zip_of(photo_folders(train=1, test=1) | files)
    test = load(import_encoded(upload, image_size=56)).test
    images_BCHW, labels_B = test.batch(torch.tensor([1, 2, 3, 4]))
    assert labels_B.tolist() == [0, 0, 0, 0]
    for image_CHW, (name, data) in zip(images_BCHW, files.items(), strict=True):
        assert (image_CHW - scaled_then_cropped(data, 56, 64)).abs().mean() < 0.01, name


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_in_batches(
    import_encoded: ImportEncoded, orientation: int, image_format: str
) -> None:
    """As if they had been stored upright. A JPEG is decoded at an eighth of its size."""
    upright = Image.open(io.BytesIO(photo_file((640, 320), image_format="PNG")))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored = upright if orientation == 1 else upright.transpose(STORED_AS[orientation])
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {"quality": 95}
    stored.save(buffer, image_format, exif=exif, **options)
    upload = zip_of(photo_folders(train=1, test=1) | {"test/cat/z.png": buffer.getvalue()})
    job = import_encoded(upload)
    image_CHW = load(job).test.batch(torch.tensor([1]))[0][0]
    expected = scaled_then_cropped(photo_file((640, 320), image_format="PNG"), 32, 37)
    assert (image_CHW - expected).abs().mean() < 0.03
    orientations = load_file(job.dataset_file)["test_orientations"]
    assert orientations.tolist() == [1, orientation, 1]


STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera stores an upright image in each orientation: the opposite of what a viewer does."""


def test_file_of_version_0_1_is_used_as_it_is_stored(import_encoded: ImportEncoded) -> None:
    """It has no orientations."""
    job = import_encoded(zip_of(photo_folders()))
    before = load(job).train.batch(torch.arange(4))[0]
    tensors = load_file(job.dataset_file)
    save_file(
        {name: tensor for name, tensor in tensors.items() if "orientations" not in name},
        job.dataset_file,
    )
    assert torch.equal(load(job).train.batch(torch.arange(4))[0], before)


def test_orientations_of_another_number_are_refused(import_encoded: ImportEncoded) -> None:
    job = import_encoded(zip_of(photo_folders()))
    tensors = load_file(job.dataset_file)
    save_file(tensors | {"test_orientations": torch.ones(5, dtype=torch.uint8)}, job.dataset_file)
    with pytest.raises(JobFailed, match="orientations of shape") as caught:
        load(job)
    assert caught.value.code == "unreadable_dataset"


def scaled_then_cropped(data: bytes, side: int, shorter_side: int) -> torch.Tensor:
    """Take the two steps that the one box replaces, [C, H, W]."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    factor = shorter_side / min(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    image = image.resize(size, Image.Resampling.BILINEAR)
    left = (image.width - side) // 2
    top = (image.height - side) // 2
    pixels = np.asarray(image.crop((left, top, left + side, top + side)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def test_training_image_is_its_random_box_scaled_and_flipped(
    import_encoded: ImportEncoded,
) -> None:
    files = photo_folders(train=4, test=1)
    train = load(import_encoded(zip_of(files))).train
    indices_B = torch.tensor([3, 0, 6, 5])
    images_BCHW, labels_B = train.prepare(indices_B, CROP, seeds.generator("cpu", 5, "x"))()
    assert labels_B.tolist() == [0, 0, 1, 1]
    box_generator = seeds.generator("cpu", seeds.derive(5, "x"), "boxes")
    draws_BD = torch.rand(4, DRAWS_PER_BOX, generator=box_generator, dtype=torch.float64)
    names = sorted(name for name in files if name.startswith("train"))
    boxes_BCHW = torch.stack(
        [
            cut_box(files[names[index]], draws_BD[row].tolist())
            for row, index in enumerate(indices_B.tolist())
        ]
    )
    flip = Augmentation(crop_padding=0, flip=True)
    expected_BCHW = augment(boxes_BCHW, flip, seeds.generator("cpu", 5, "x"))
    assert (images_BCHW - expected_BCHW).abs().mean() < 0.01
    assert (images_BCHW - expected_BCHW.flip(3)).abs().mean() > 0.03


def cut_box(data: bytes, draws: list[float]) -> torch.Tensor:
    """Cut and scale a random box without decoding JPEGs at a reduced scale, [C, H, W]."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    left, top, right, bottom = map(int, random_box(*image.size, ResizedCrop(), draws))
    box = image.crop((left, top, right, bottom))
    pixels = np.asarray(box.resize((32, 32), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def test_large_jpeg_is_not_decoded_at_its_full_size(
    import_encoded: ImportEncoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = photo_folders(train=1) | {"train/cat/large.jpeg": photo_file((1600, 800))}
    train = load(import_encoded(zip_of(files), image_size=56)).train
    decoded_sizes: list[tuple[int, int]] = []
    convert = Image.Image.convert

    def recording_convert(image: Image.Image, mode: str) -> Image.Image:
        decoded_sizes.append(image.size)
        return convert(image, mode)

    monkeypatch.setattr(Image.Image, "convert", recording_convert)
    images_BCHW, _ = train.batch(torch.tensor([1]))
    assert decoded_sizes == [(400, 200)]
    expected_CHW = scaled_then_cropped(files["train/cat/large.jpeg"], 56, 64)
    assert (images_BCHW[0] - expected_CHW).abs().mean() < 0.01


def test_training_images_without_resized_crop_are_test_images(
    import_encoded: ImportEncoded,
) -> None:
    """They are augmented, but cut out like those."""
    train = load(import_encoded(zip_of(photo_folders()))).train
    indices_B = torch.arange(6)
    padded = Augmentation(crop_padding=4, flip=True)
    images_BCHW, _ = train.prepare(indices_B, padded, seeds.generator("cpu", 1))()
    expected_BCHW = augment(train.batch(indices_B)[0], padded, seeds.generator("cpu", 1))
    assert torch.equal(images_BCHW, expected_BCHW)


def test_subset_and_split_have_the_images_in_order(import_encoded: ImportEncoded) -> None:
    train = load(import_encoded(zip_of(photo_folders()))).train
    images_NCHW, labels_N = train.batch(torch.arange(12))
    subset = train.subset(torch.tensor([7, 2])).subset(torch.tensor([1, 0, 1]))
    assert torch.equal(subset.batch(torch.arange(3))[0], images_NCHW[[2, 7, 2]])
    assert labels_of(subset) == labels_N[[2, 7, 2]].tolist()
    parts = split(train, held_out=4, limit=10, seed=0)
    assert [sorted(labels_of(part)) for part in parts] == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1]]
    images_BCHW = torch.cat([part.batch(torch.arange(len(part)))[0] for part in parts])
    assert len({image_CHW.numpy().tobytes() for image_CHW in images_BCHW}) == 10


def test_batch_of_a_step_does_not_depend_on_earlier_calls(import_encoded: ImportEncoded) -> None:
    train = load(import_encoded(zip_of(photo_folders()))).train

    def batches() -> Batches:
        return Batches(train, batch_size=5, augmentation=CROP, seed=3, device=CPU)

    in_order = batches()
    expected = [in_order.at(step) for step in range(6)]
    out_of_order = batches()
    for step in (4, 0, 1, 5, 5, 2, 3, 4):
        for tensor, expected_tensor in zip(out_of_order.at(step), expected[step], strict=True):
            assert torch.equal(tensor, expected_tensor), step
    assert not torch.equal(expected[0][0], expected[2][0])


def test_next_batch_is_being_decoded_when_one_is_returned(
    import_encoded: ImportEncoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = load(import_encoded(zip_of(photo_folders()))).train
    prepared: list[list[int]] = []
    prepare = train.prepare

    def recording_prepare(indices_B: torch.Tensor, *arguments: Any) -> Any:
        prepared.append(indices_B.tolist())
        return prepare(indices_B, *arguments)

    monkeypatch.setattr(train, "prepare", recording_prepare)
    batches = Batches(train, batch_size=6, augmentation=CROP, seed=0, device=CPU)
    for step in range(3):
        batches.at(step)
        assert len(prepared) == step + 2  # each is prepared once, one step ahead
    assert sorted(prepared[0] + prepared[1]) == list(range(12))


# -- the file in a job's folder


def change_tensors(job: JobFolder, **tensors: torch.Tensor) -> None:
    save_file(load_file(job.dataset_file) | tensors, job.dataset_file)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"train_labels": torch.zeros(3, dtype=torch.int64)}, "the description has 12 images"),
        (
            {"train_labels": torch.full((12,), 2)},
            "The train labels go from 2 to 2; the description has 2 classes.",
        ),
        (
            {"train_labels": torch.tensor([-1] + [0] * 11)},
            "The train labels go from -1 to 0; the description has 2 classes.",
        ),
        ({"train_offsets": torch.arange(12)}, "offsets of shape"),
        ({"train_labels": torch.zeros(12, 1, dtype=torch.int64)}, "labels of shape"),
        (
            {"test_bytes": torch.zeros(6, dtype=torch.uint8), "test_offsets": torch.arange(1, 8)},
            "do not divide",
        ),
        (
            {"test_bytes": torch.zeros(7, dtype=torch.uint8), "test_offsets": torch.arange(1, 8)},
            "do not divide",
        ),
        ({"test_offsets": torch.arange(7)}, "do not divide"),
        ({"test_offsets": torch.tensor([0, 5, 3, 7, 8, 9, 10])}, "do not divide"),
    ],
)
def test_file_other_than_described_fails_the_job(
    import_encoded: ImportEncoded, tensors: dict[str, torch.Tensor], message: str
) -> None:
    job = import_encoded(zip_of(photo_folders()))
    change_tensors(job, **tensors)
    with pytest.raises(JobFailed, match=message):
        load(job)


@pytest.mark.parametrize("length", [0, 7, 100, 2000])
def test_truncated_file_fails_the_job(import_encoded: ImportEncoded, length: int) -> None:
    job = import_encoded(zip_of(photo_folders()))
    job.dataset_file.write_bytes(job.dataset_file.read_bytes()[:length])
    with pytest.raises(JobFailed, match=r"dataset.safetensors cannot be read"):
        load(job)


def test_missing_file_fails_the_job(import_encoded: ImportEncoded) -> None:
    job = import_encoded(zip_of(photo_folders()))
    job.dataset_file.unlink()
    with pytest.raises(JobFailed, match="not in its folder"):
        load(job)


def test_image_that_can_no_longer_be_decoded_fails_the_job(
    import_encoded: ImportEncoded,
) -> None:
    job = import_encoded(zip_of(photo_folders()))
    change_tensors(job, train_bytes=torch.zeros_like(load_file(job.dataset_file)["train_bytes"]))
    with pytest.raises(JobFailed, match="Image 3 of the data set can no longer be decoded"):
        load(job).train.batch(torch.tensor([3]))


@pytest.mark.gpu
@pytest.mark.parametrize("augmentation", [CROP, Augmentation(crop_padding=0, flip=False)])
def test_batch_on_the_gpu_is_the_cpus_but_for_the_flips(
    import_encoded: ImportEncoded, augmentation: Augmentation
) -> None:
    train = load(import_encoded(zip_of(photo_folders()))).train
    indices_B = torch.tensor([5, 0, 11])
    gpu_generator = seeds.generator("cuda", 1)
    gpu_BCHW, gpu_labels_B = train.to("cuda").prepare(indices_B, augmentation, gpu_generator)()
    cpu_BCHW, cpu_labels_B = train.prepare(indices_B, augmentation, seeds.generator("cpu", 1))()
    assert gpu_BCHW.device.type == gpu_labels_B.device.type == "cuda"
    assert gpu_labels_B.tolist() == cpu_labels_B.tolist()
    # CUDA's division by 255 may differ in the last bit.
    gpu_pixels = gpu_BCHW.cpu().mul(255).round()
    for gpu_CHW, cpu_CHW in zip(gpu_pixels, cpu_BCHW.mul(255).round(), strict=True):
        is_flipped = augmentation.flip and torch.equal(gpu_CHW, cpu_CHW.flip(2))
        assert torch.equal(gpu_CHW, cpu_CHW) or is_flipped
