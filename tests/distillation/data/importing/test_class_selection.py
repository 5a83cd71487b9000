"""Which classes of a data set are imported, and their labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.distillation.data import load, packed
from core.distillation.data.images import Images
from core.distillation.data.importing.packed_writer import write_selected_classes
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import Imported, JobFolder
from core.jobspec.data import ImportOptions
from tests.distillation.data.builders import (
    dataset_of,
    image_file,
    import_job,
    install_import,
    labels_of,
    npz_of,
    zip_of,
)

ANIMALS = ("ant", "bee", "cat", "dog", "eel")


def animals(test: bool = True) -> dict[str, bytes]:
    parts = {"train/": 3, "test/": 2} if test else {"": 5}
    return {
        f"{part}{name}/{number}.png": image_file(
            seed=100 * ANIMALS.index(name) + 10 * len(part) + number
        )
        for part, count in parts.items()
        for name in ANIMALS
        for number in range(count)
    }


def run_import(tmp_path: Path, upload: bytes, **options: Any) -> tuple[JobFolder, Imported]:
    job = import_job(tmp_path / "job", **options)
    job.upload.write_bytes(upload)
    import_dataset(job)
    return job, install_import(job)


def refusal(tmp_path: Path, upload: bytes, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        run_import(tmp_path, upload, **options)
    assert caught.value.code == "unfitting_classes"
    return caught.value.message


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize("test", [True, False])
def test_listed_classes_are_imported_in_the_order_of_the_list(
    tmp_path: Path, image_size: int | None, test: bool
) -> None:
    upload = zip_of(animals(test))
    job, event = run_import(
        tmp_path / "some", upload, classes=("dog", "ant"), image_size=image_size
    )
    assert dataset_of(event).class_names == ("dog", "ant")
    counts = {"train": 3, "test": 2} if test else {"train": 4, "test": 1}
    assert event.report["images"] == {
        part: {"dog": count, "ant": count} for part, count in counts.items()
    }
    assert event.report["ignored_files"] == 15
    assert event.report["layout"].endswith(" 2 of its 5 classes were imported.")
    job_of_all, _ = run_import(tmp_path / "all", upload, image_size=image_size)
    selected = load(job).train
    every = load(job_of_all).train
    assert labels_of(selected) == [0] * counts["train"] + [1] * counts["train"]
    dogs_and_ants = torch.cat([(every.labels_N == label).nonzero().flatten() for label in (3, 0)])
    images_BCHW, _ = selected.batch(torch.arange(len(selected)))
    assert torch.equal(images_BCHW, every.batch(dogs_and_ants)[0])


@pytest.mark.parametrize(
    ("every", "selected"), [(2, ("ant", "cat", "eel")), (3, ("ant", "dog")), (4, ("ant", "eel"))]
)
def test_every_nth_class_is_imported_from_the_first_on(
    tmp_path: Path, every: int, selected: tuple[str, ...]
) -> None:
    _, event = run_import(tmp_path, zip_of(animals()), every=every)
    assert dataset_of(event).class_names == selected


def test_classes_that_are_not_selected_may_be_unusable(tmp_path: Path) -> None:
    upload = zip_of(animals() | {"train/bee/0.png": b"no image", "train/empty/readme.txt": b"x"})
    _, event = run_import(tmp_path, upload, classes=("ant", "cat"))
    assert event.report["images"]["train"] == {"ant": 3, "cat": 3}


def test_unknown_class_is_refused_by_name(tmp_path: Path) -> None:
    assert '"wasp"' in refusal(tmp_path, zip_of(animals()), classes=("ant", "wasp"))


def test_classes_are_never_the_train_and_test_folders(tmp_path: Path) -> None:
    assert '"train"' in refusal(tmp_path, zip_of(animals()), classes=("train", "test"))


@pytest.mark.parametrize("every", [5, 100])
def test_every_nth_class_must_be_two_or_more(tmp_path: Path, every: int) -> None:
    message = refusal(tmp_path, zip_of(animals()), every=every)
    assert "a data set must have at least two" in message


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d")])
def test_npz_needs_as_many_names_as_it_has_labels(tmp_path: Path, names: tuple[str, ...]) -> None:
    message = refusal(tmp_path, npz_of(), classes=names)
    assert f"classes has {len(names)} names, and the labels go from 0 to 2;" in message


def test_npz_has_no_names_to_select_every_nth_of(tmp_path: Path) -> None:
    assert "labels without names" in refusal(tmp_path, npz_of(), every=2)


def test_classes_of_decoded_images_can_be_selected(tmp_path: Path) -> None:
    images = Images(
        torch.arange(6 * 64).remainder(256).to(torch.uint8).view(6, 1, 8, 8),
        torch.tensor([0, 1, 2, 2, 1, 0]),
    )
    options = ImportOptions(classes=("z", "x"))
    result = write_selected_classes(
        tmp_path / "f", images, images, ("x", "y", "z"), options, "Six."
    )
    assert result.description.class_names == ("z", "x")
    assert result.train_K.tolist() == [2, 2]
    assert result.layout == "Six. 2 of its 3 classes were imported."
    mapped = packed.load_mapped(tmp_path / "f", result.description)
    assert labels_of(mapped) == [1, 0, 0, 1]
    assert np.array_equal(mapped.images_NCHW, images.images_NCHW[[0, 2, 3, 5]].numpy())


def test_image_size_is_refused_for_decoded_images(tmp_path: Path) -> None:
    images = Images(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    options = ImportOptions(image_size=64)
    with pytest.raises(Refused) as caught:
        write_selected_classes(tmp_path / "f", images, images, ("x", "y"), options, "Two.")
    assert caught.value.code == "unfitting_image_size"
