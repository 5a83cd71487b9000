"""Which classes of somebody's data set are kept, and what their labels are then."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.distillation.data import load, packed
from core.distillation.data.images import Images
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import Imported, JobFolder
from core.jobspec.data import ImportOptions
from tests.distillation.data.building import import_job, imported, picture, zip_of
from tests.distillation.data.importing.test_npz import npz_of

ANIMALS = ("ant", "bee", "cat", "dog", "eel")


def animals(test: bool = True) -> dict[str, bytes]:
    parts = {"train/": 3, "test/": 2} if test else {"": 5}
    return {
        f"{part}{name}/{at}.png": picture(seed=100 * ANIMALS.index(name) + 10 * len(part) + at)
        for part, count in parts.items()
        for name in ANIMALS
        for at in range(count)
    }


def imported_with(tmp_path: Path, upload: bytes, **wanted: Any) -> tuple[JobFolder, Imported]:
    job = import_job(tmp_path / "job", **wanted)
    job.upload.write_bytes(upload)
    import_dataset(job)
    return job, imported(job)


def refusal(tmp_path: Path, upload: bytes, **wanted: Any) -> str:
    with pytest.raises(Refused) as caught:
        imported_with(tmp_path, upload, **wanted)
    assert caught.value.code == "unfitting_classes"
    return caught.value.message


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize("test", [True, False])
def test_a_list_keeps_its_classes_labelled_in_its_order(
    tmp_path: Path, image_size: int | None, test: bool
):
    upload = zip_of(animals(test))
    job, event = imported_with(
        tmp_path / "some", upload, classes=("dog", "ant"), image_size=image_size
    )
    assert event.dataset is not None
    assert event.dataset.class_names == ("dog", "ant")
    counts = {"train": 3, "test": 2} if test else {"train": 4, "test": 1}
    assert event.report["images"] == {
        part: {"dog": count, "ant": count} for part, count in counts.items()
    }
    assert event.report["ignored_files"] == 15
    assert event.report["layout"].endswith(" Of its 5 classes 2 were kept.")
    everything, _ = imported_with(tmp_path / "all", upload, image_size=image_size)
    some, train = load(job).train, load(everything).train
    assert some.labels_N.tolist() == [0] * counts["train"] + [1] * counts["train"]
    of_dogs_and_ants = torch.cat(
        [(train.labels_N == label).nonzero().flatten() for label in (3, 0)]
    )
    assert torch.equal(some.batch(torch.arange(len(some)))[0], train.batch(of_dogs_and_ants)[0])


@pytest.mark.parametrize(
    ("every", "kept"), [(2, ("ant", "cat", "eel")), (3, ("ant", "dog")), (4, ("ant", "eel"))]
)
def test_every_nth_class_is_kept_from_the_first_on(
    tmp_path: Path, every: int, kept: tuple[str, ...]
):
    _, event = imported_with(tmp_path, zip_of(animals()), every=every)
    assert event.dataset is not None
    assert event.dataset.class_names == kept


def test_classes_that_are_not_kept_need_not_be_sound(tmp_path: Path):
    upload = zip_of(animals() | {"train/bee/0.png": b"no image", "train/empty/readme.txt": b"x"})
    assert imported_with(tmp_path, upload, classes=("ant", "cat"))[1].report["images"]["train"] == {
        "ant": 3,
        "cat": 3,
    }


def test_a_class_that_is_not_there_is_named(tmp_path: Path):
    assert '"wasp"' in refusal(tmp_path, zip_of(animals()), classes=("ant", "wasp"))


def test_a_list_for_an_archive_of_images_is_of_folders_whatever_part_they_are_in(tmp_path: Path):
    assert '"train"' in refusal(tmp_path, zip_of(animals()), classes=("train", "test"))


@pytest.mark.parametrize("every", [5, 100])
def test_every_nth_class_must_leave_two(tmp_path: Path, every: int):
    assert "at least two are needed" in refusal(tmp_path, zip_of(animals()), every=every)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d")])
def test_an_npz_needs_as_many_names_as_it_has_labels(tmp_path: Path, names: tuple[str, ...]):
    assert f"classes has {len(names)} names; the labels go from 0 to 2." in refusal(
        tmp_path, npz_of(), classes=names
    )


def test_an_npz_has_no_list_to_take_every_nth_class_of(tmp_path: Path):
    assert "labels without names" in refusal(tmp_path, npz_of(), every=2)


def test_images_that_came_decoded_are_chosen_from_too(tmp_path: Path):
    images = Images(
        torch.arange(6 * 64).remainder(256).to(torch.uint8).view(6, 1, 8, 8),
        torch.tensor([0, 1, 2, 2, 1, 0]),
    )
    found = packed.write_selected_classes(
        tmp_path / "f", images, images, ("x", "y", "z"), ImportOptions(classes=("z", "x")), "Six."
    )
    assert found.description.class_names == ("z", "x")
    assert found.train_K.tolist() == [2, 2]
    assert found.layout == "Six. Of its 3 classes 2 were kept."
    kept = packed.load_mapped(tmp_path / "f", found.description)
    assert kept.labels_N.tolist() == [1, 0, 0, 1]
    assert np.array_equal(kept.images_NCHW, images.images_NCHW[[0, 2, 3, 5]].numpy())


def test_images_that_came_decoded_cannot_stay_encoded(tmp_path: Path):
    images = Images(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(Refused) as caught:
        packed.write_selected_classes(tmp_path / "f", images, images, ("x", "y"), ImportOptions(image_size=64), "Two.")
    assert caught.value.code == "unfitting_image_size"
