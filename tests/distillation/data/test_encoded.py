"""Images that stay encoded: what is stored, what a batch is made of, and what cannot be stored."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from safetensors.torch import load_file, save_file

from core.distillation import seeds
from core.distillation.data import encoded, load, split
from core.distillation.data.augmentation import augment
from core.distillation.data.batches import Batches
from core.distillation.data.importing import verification
from core.distillation.data.resized_crop import DRAWS_PER_BOX, random_box
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import JobFailed, Refused
from core.job_folder import JobFolder
from core.jobspec.data import Augmentation, ResizedCrop
from tests.distillation.data.building import (
    import_job,
    imported,
    labels_of,
    picture,
    png_that_says,
    split_classes,
    tar_of,
    two_classes,
    write_files,
    zip_of,
)

CPU = torch.device("cpu")
CROP = Augmentation(resized_crop=ResizedCrop(), flip=True)


def photos(train: int = 6, test: int = 3, **changes: Any) -> dict[str, bytes]:
    """Of all sizes, smooth, so that scaling them twice makes little difference; every third a PNG or a WebP."""
    files = {}
    for part, count in (("train", train), ("test", test)):
        for at in range(count):
            for label, name in enumerate(("cat", "mouse")):
                form = ("JPEG", "PNG", "WEBP")[at % 3]
                size = (90 + 13 * at, 70 + 29 * ((at + label) % 4))
                files[f"{part}/{name}/{at}.{form.lower()}"] = photo(
                    size, seed=2 * at + label, form=form, **changes
                )
    return files


def photo(size: tuple[int, int], seed: int = 0, form: str = "JPEG", mode: str = "RGB") -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    out = io.BytesIO()
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    image.save(
        out,
        form,
        **({"quality": 95} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}),
    )
    return out.getvalue()


@pytest.fixture
def encode(tmp_path: Path) -> Callable[..., JobFolder]:
    def run(upload: bytes, **changes: Any) -> JobFolder:
        job = import_job(tmp_path / "job", **{"image_size": 32} | changes)
        job.upload.write_bytes(upload)
        import_dataset(job)
        assert {path.name for path in job.output.iterdir()} == {"dataset.safetensors"}
        imported(job)
        return job

    return run


def refusal(
    encode: Callable[..., JobFolder], files: dict[str, bytes], **changes: Any
) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        encode(zip_of(files), **changes)
    return caught.value.code, caught.value.message


def test_the_files_are_kept_as_they_came(encode: Any):
    files = photos()
    job = encode(zip_of(files))
    stored = load_file(job.dataset_file)
    for part in ("train", "test"):
        names = sorted(name for name in files if name.startswith(part))
        assert bytes(stored[f"{part}_bytes"].numpy()) == b"".join(files[name] for name in names)
        assert (
            stored[f"{part}_offsets"].tolist()
            == np.cumsum([0, *(len(files[name]) for name in names)]).tolist()
        )
    assert stored["train_labels"].tolist() == [0] * 6 + [1] * 6
    assert stored["test_labels"].tolist() == [0] * 3 + [1] * 3


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_it_is_described_by_the_size_that_images_will_have(encode: Any, pack: Any):
    found = encode(pack(photos())).read_dataset()
    assert (found.source, found.classes, found.channels) == ("encoded", 2, 3)
    assert (found.height, found.width, found.train_images, found.test_images) == (32, 32, 12, 6)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_only_where_every_image_is_grey_they_have_one_channel(
    encode: Any, mode: str, channels: int
):
    files = {
        name: it for name, it in photos(test=1, mode="L").items() if not name.endswith("webp")
    }  # never grey
    files |= {"test/cat/last.png": photo((40, 40), mode=mode, form="PNG")}
    job = encode(zip_of(files))
    assert job.read_dataset().channels == channels
    assert load(job).train.batch(torch.arange(3))[0].shape == (3, channels, 32, 32)


def test_a_folder_that_the_operator_offers_is_read(tmp_path: Path):
    write_files(tmp_path / "photos", photos())
    job = import_job(tmp_path / "job", source="folder", folder="photos", image_size=32)
    job.upload.symlink_to(tmp_path / "photos")
    import_dataset(job)
    assert imported(job).dataset.source == "encoded"
    assert len(load(job).train) == 12


# -- batches


def test_a_test_image_is_its_middle_with_the_shorter_side_scaled_to_256_224ths(encode: Any):
    # Of sizes whose scaled sides are whole and even: elsewhere the two steps round, and the one box does not.
    shapes = {"a.jpeg": (192, 128), "b.png": (64, 160), "c.webp": (80, 40), "d.png": (640, 640)}
    shown = {
        f"test/cat/{name}": photo(size, form=name[2:].upper()) for name, size in shapes.items()
    }
    test = load(encode(zip_of(photos(train=1, test=1) | shown), image_size=56)).test
    images_BCHW, labels_B = test.batch(torch.tensor([1, 2, 3, 4]))
    assert labels_B.tolist() == [0, 0, 0, 0]
    for found, (name, data) in zip(images_BCHW, shown.items(), strict=True):
        assert (found - scaled_then_cropped(data, 56, 64)).abs().mean() < 0.01, name


def scaled_then_cropped(data: bytes, side: int, shorter: int) -> torch.Tensor:
    """The two steps that the one box stands for, by the plain road: [C, H, W]."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    factor = shorter / min(image.size)
    image = image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.BILINEAR
    )
    left, top = (image.width - side) // 2, (image.height - side) // 2
    pixels = np.asarray(image.crop((left, top, left + side, top + side)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def test_a_training_image_is_the_box_that_chance_gave_it_scaled_and_flipped(encode: Any):
    files = photos(train=4, test=1)
    train = load(encode(zip_of(files))).train
    indices_B = torch.tensor([3, 0, 6, 5])
    images_BCHW, labels_B = train.prepare(indices_B, CROP, seeds.generator("cpu", 5, "x"))()
    assert labels_B.tolist() == [0, 0, 1, 1]
    host = seeds.generator("cpu", seeds.derive(5, "x"), "boxes")
    draws_BD = torch.rand(4, DRAWS_PER_BOX, generator=host, dtype=torch.float64)
    names = sorted(name for name in files if name.startswith("train"))
    cut = torch.stack(
        [
            boxed(files[names[at]], draws_BD[row].tolist())
            for row, at in enumerate(indices_B.tolist())
        ]
    )
    expected = augment(cut, Augmentation(crop_padding=0, flip=True), seeds.generator("cpu", 5, "x"))
    assert (images_BCHW - expected).abs().mean() < 0.01
    assert (images_BCHW - expected.flip(3)).abs().mean() > 0.03


def boxed(data: bytes, draws: list[float]) -> torch.Tensor:
    """[C, H, W] without a JPEG's shortcut."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    box = random_box(*image.size, ResizedCrop(), draws)
    pixels = np.asarray(
        image.crop(tuple(map(int, box))).resize((32, 32), Image.Resampling.BILINEAR)
    )
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def test_a_large_jpeg_is_not_decoded_at_its_full_size(encode: Any, monkeypatch: pytest.MonkeyPatch):
    files = photos(train=1) | {"train/cat/large.jpeg": photo((1600, 800))}
    train = load(encode(zip_of(files), image_size=56)).train
    decoded: list[tuple[int, int]] = []
    convert = Image.Image.convert
    monkeypatch.setattr(
        Image.Image, "convert", lambda it, mode: decoded.append(it.size) or convert(it, mode)
    )
    images_BCHW, _ = train.batch(torch.tensor([1]))
    assert decoded == [(400, 200)]
    assert (
        images_BCHW[0] - scaled_then_cropped(files["train/cat/large.jpeg"], 56, 64)
    ).abs().mean() < 0.01


def test_without_a_resized_crop_training_images_are_augmented_test_images(encode: Any):
    train = load(encode(zip_of(photos()))).train
    indices_B, padded = torch.arange(6), Augmentation(crop_padding=4, flip=True)
    found = train.prepare(indices_B, padded, seeds.generator("cpu", 1))()[0]
    assert torch.equal(found, augment(train.batch(indices_B)[0], padded, seeds.generator("cpu", 1)))


def test_a_subset_and_a_split_show_the_asked_images_in_the_asked_order(encode: Any):
    train = load(encode(zip_of(photos()))).train
    everything, labels_N = train.batch(torch.arange(12))
    subset = train.subset(torch.tensor([7, 2])).subset(torch.tensor([1, 0, 1]))
    assert torch.equal(subset.batch(torch.arange(3))[0], everything[[2, 7, 2]])
    assert labels_of(subset) == labels_N[[2, 7, 2]].tolist()
    parts = split(train, held_out=4, limit=10, seed=0)
    assert [sorted(labels_of(part)) for part in parts] == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1]]
    shown = torch.cat([part.batch(torch.arange(len(part)))[0] for part in parts])
    assert len({image.numpy().tobytes() for image in shown}) == 10


def test_a_step_has_the_same_batch_whatever_was_asked_for_before(encode: Any):
    train = load(encode(zip_of(photos()))).train

    def batches() -> Batches:
        return Batches(train, batch_size=5, augmentation=CROP, seed=3, device=CPU)

    in_order = batches()
    expected = [in_order.at(step) for step in range(6)]
    other = batches()
    for step in (4, 0, 1, 5, 5, 2, 3, 4):
        for found, wanted in zip(other.at(step), expected[step], strict=True):
            assert torch.equal(found, wanted), step
    assert not torch.equal(expected[0][0], expected[2][0])


def test_the_next_batch_is_being_decoded_when_one_is_handed_out(
    encode: Any, monkeypatch: pytest.MonkeyPatch
):
    train = load(encode(zip_of(photos()))).train
    begun: list[list[int]] = []
    prepare = train.prepare
    monkeypatch.setattr(
        train,
        "prepare",
        lambda indices_B, *rest: begun.append(indices_B.tolist()) or prepare(indices_B, *rest),
    )
    batches = Batches(train, batch_size=6, augmentation=CROP, seed=0, device=CPU)
    for step in range(3):
        batches.at(step)
        assert len(begun) == step + 2  # each is begun once, one ahead
    assert sorted(begun[0] + begun[1]) == list(range(12))


# -- what is refused


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda it: it[: len(it) // 2], "unreadable_image"),
        (lambda it: it[:200] + bytes(len(it) - 200), "unreadable_image"),
        (lambda it: b"", "unreadable_image"),
        (lambda it: b"<svg></svg>", "unreadable_image"),
        (lambda it: picture(size=(7, 20)), "too_small"),
        (lambda it: picture(size=(16_385, 8)), "too_large"),
    ],
)
def test_an_image_that_could_not_be_used_is_refused_by_name_at_import(
    encode: Any, change: Any, code: str
):
    files = photos()
    files["train/mouse/1.png"] = change(files["train/mouse/1.png"])
    found, message = refusal(encode, files)
    assert (found, '"train/mouse/1.png"' in message) == (code, True)


def test_a_damaged_image_is_found_though_its_header_is_sound(encode: Any):
    files = photos()
    whole = photo((64, 64), form="PNG")
    files["test/cat/1.png"] = whole[:-40] + bytes(8) + whole[-32:]
    assert refusal(encode, files)[0] == "unreadable_image"


@pytest.mark.parametrize("side", [9_000, 50_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(
    encode: Any, monkeypatch: pytest.MonkeyPatch, side: int
):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    files = {
        f"{part}/{name}/0.png": png_that_says(side, side)
        for part in ("train", "test")
        for name in "ab"
    }
    code, message = refusal(encode, files)
    assert (code, "pixels" in message) == ("too_large", True)


def test_more_bytes_than_a_data_set_may_have_are_refused_before_any_is_written(
    encode: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(encoded, "MAX_BYTES", 1000)
    monkeypatch.setattr(encoded.tensor_file, "writing", lambda *_: pytest.fail("written"))
    assert refusal(encode, photos())[0] == "too_large"


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = write_files(tmp_path / "photos", photos())
    job = import_job(tmp_path / "job", source="folder", folder="photos", image_size=32)
    job.upload.symlink_to(root)
    check = encoded.verify_images

    def changing(files: Any, paths: Any, progress: Any) -> Any:
        (root / "train/cat/0.jpeg").write_bytes(photo((300, 300)))
        return check(files, paths, progress)

    monkeypatch.setattr(encoded, "verified", changing)
    with pytest.raises(Refused) as caught:
        import_dataset(job)
    assert (caught.value.code, '"train/cat/0.jpeg" changed' in caught.value.message) == (
        "unreadable_image",
        True,
    )


def test_few_images_are_in_memory_at_a_time(encode: Any, monkeypatch: pytest.MonkeyPatch):
    read, written = 0, 0
    files = {
        f"{part}/{name}/{at}.png": picture()
        for part in ("train", "test")
        for name in "ab"
        for at in range(50)
    }
    opened, check = verification.opened, encoded.verify_images

    def counted(*arguments: Any) -> Any:
        nonlocal read
        read += 1
        return opened(*arguments)

    def watched(*arguments: Any) -> Any:
        nonlocal written
        for found in check(*arguments):
            assert read - written <= verification.AHEAD + 1
            written += 1
            yield found

    monkeypatch.setattr(verification, "opened", counted)
    monkeypatch.setattr(encoded, "verified", watched)
    encode(zip_of(files))
    assert (read, written) == (200, 200)


def test_what_is_decoded_already_cannot_stay_encoded(encode: Any):
    out = io.BytesIO()
    np.savez(out, image=np.zeros((4, 8, 8, 3), np.uint8), label=np.arange(4))
    with pytest.raises(Refused) as caught:
        encode(out.getvalue())
    assert caught.value.code == "unfitting_image_size"


# -- the file in a job's folder


def changed(job: JobFolder, **tensors: Any) -> None:
    save_file(load_file(job.dataset_file) | tensors, job.dataset_file)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"train_labels": torch.zeros(3, dtype=torch.int64)}, "the description says 12"),
        (
            {"train_labels": torch.full((12,), 2)},
            "The train labels go from 2 to 2; 2 classes are described.",
        ),
        ({"test_offsets": torch.arange(7)}, "do not divide"),
        ({"test_offsets": torch.tensor([0, 5, 3, 7, 8, 9, 10])}, "do not divide"),
    ],
)
def test_a_file_that_is_not_as_described_is_said(
    encode: Any, tensors: dict[str, torch.Tensor], said: str
):
    job = encode(zip_of(photos()))
    changed(job, **tensors)
    with pytest.raises(JobFailed, match=said):
        load(job)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_truncated_file_is_said(encode: Any, keep: int):
    job = encode(zip_of(photos()))
    job.dataset_file.write_bytes(job.dataset_file.read_bytes()[:keep])
    with pytest.raises(JobFailed, match=r"dataset.safetensors cannot be read"):
        load(job)


def test_a_missing_file_is_said(encode: Any):
    job = encode(zip_of(photos()))
    job.dataset_file.unlink()
    with pytest.raises(JobFailed, match="not in its folder"):
        load(job)


def test_an_image_that_can_no_longer_be_decoded_fails_the_job_with_a_sentence(encode: Any):
    job = encode(zip_of(photos()))
    changed(job, train_bytes=torch.zeros_like(load_file(job.dataset_file)["train_bytes"]))
    with pytest.raises(JobFailed, match="Image 3 of the data set cannot be decoded"):
        load(job).train.batch(torch.tensor([3]))


def test_images_of_one_size_may_stay_encoded_too(encode: Any):
    assert (
        encode(zip_of(two_classes() | split_classes("")), image_size=8).read_dataset().source
        == "encoded"
    )


@pytest.mark.gpu
@pytest.mark.parametrize("augmentation", [CROP, Augmentation(crop_padding=0, flip=False)])
def test_a_batch_on_the_gpu_is_that_of_the_cpu_but_for_the_flips(
    encode: Any, augmentation: Augmentation
):
    train = load(encode(zip_of(photos()))).train
    indices_B = torch.tensor([5, 0, 11])
    cuda_BCHW, labels_B = train.to("cuda").prepare(
        indices_B, augmentation, seeds.generator("cuda", 1)
    )()
    host_BCHW, host_B = train.prepare(indices_B, augmentation, seeds.generator("cpu", 1))()
    assert cuda_BCHW.device.type == labels_B.device.type == "cuda"
    assert labels_B.tolist() == host_B.tolist()
    # CUDA divides by 255 to the last bit but one.
    for one, other in zip(
        cuda_BCHW.cpu().mul(255).round(), host_BCHW.mul(255).round(), strict=True
    ):
        assert torch.equal(one, other) or (augmentation.flip and torch.equal(one, other.flip(2)))
