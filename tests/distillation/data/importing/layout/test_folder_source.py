"""Links, hidden and unreadable files in a folder of the operator."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from core.distillation.data import load
from core.distillation.data.importing import file_source
from core.distillation.data.importing.layout import folder_source
from core.distillation.data.importing.layout.folder_source import FolderSource
from core.distillation.jobs.dataset_import import import_dataset
from core.errors import Refused
from core.job_folder import Imported
from tests.distillation.data.builders import (
    class_folders,
    dataset_of,
    image_file,
    import_job,
    install_import,
    labels_of,
    write_files,
)


def import_folder(root: Path, **changes: Any) -> Imported:
    job = import_job(root.parent / "job", source="folder", folder=root.name, **changes)
    job.upload.symlink_to(root)
    import_dataset(job)
    return install_import(job)


def reasons(root: Path) -> dict[str, str]:
    """Reason why each ignored entry of a folder is ignored."""
    groups = FolderSource(root, lambda completed, total: None).ignored.as_json()
    return {name: group["reason"] for group in groups for name in group["first"]}


def test_links_that_are_not_followed_are_named(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", class_folders())
    (root / "cat" / "gone.png").symlink_to(tmp_path / "nothing")
    (root / "cat" / "self.png").symlink_to("self.png")
    (root / "cat" / "up").symlink_to("..")
    (root / "mouse" / "cats").symlink_to("../cat")
    (root / "owl").symlink_to("mouse")
    assert reasons(root) == {
        "cat/gone.png": "a link that leads nowhere",
        "cat/self.png": "a link that leads in a circle",
        "cat/up": "a link that leads in a circle",
        "mouse/cats": "the same folder as one that is read elsewhere",
        "owl": "the same folder as one that is read elsewhere",
    }
    event = import_folder(root)
    assert dataset_of(event).class_names == ("cat", "mouse")
    assert (dataset_of(event).train_images, event.report["ignored_files"]) == (8, 5)


@pytest.mark.parametrize(("linked", "real"), [("a", "z"), ("z", "a")])
@pytest.mark.parametrize("kind", ["folder", "files"])
def test_image_has_the_label_of_the_folder_it_really_is_in(
    tmp_path: Path, linked: str, real: str, kind: str
) -> None:
    """Whichever of the two classes comes first in the directory, or by name."""
    files = {
        f"{name}/{number}.png": image_file(seed=number) for name in "az" for number in range(5)
    }
    root = write_files(tmp_path / "pets", files)
    if kind == "folder":
        (root / linked / "more").symlink_to(f"../{real}")
    else:
        for number in range(5):
            (root / linked / f"link{number}.png").symlink_to(f"../{real}/{number}.png")
    event = import_folder(root)
    assert event.report["images"]["train"] == {"a": 4, "z": 4}
    assert event.report["ignored_files"] == (1 if kind == "folder" else 5)
    name = "more" if kind == "folder" else "link0.png"
    assert event.report["ignored"][0]["first"][0] == f"{linked}/{name}"


def test_link_from_test_to_training_images_is_not_followed(tmp_path: Path) -> None:
    files = {f"{part}/{name}/0.png": image_file() for part in ("test", "train") for name in "ab"}
    root = write_files(tmp_path / "pets", files)
    (root / "test" / "a" / "1.png").symlink_to("../../train/a/0.png")
    event = import_folder(root)
    assert event.report["images"]["test"] == {"a": 1, "b": 1}
    assert event.report["ignored"][0]["first"] == ["test/a/1.png"]


def test_links_to_images_elsewhere_are_followed(tmp_path: Path) -> None:
    """To a pool of images in the same folder that is no class, and to one outside of it."""
    pool = {f"pool/{number}.png": image_file(seed=number) for number in range(10)}
    root = write_files(tmp_path / "pets", pool)
    outside = write_files(tmp_path / "outside", {"0.png": image_file(), "1.png": image_file()})
    for part, first in (("train", 0), ("test", 5)):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(first, first + 2 + (name == "dog")):
                (root / part / name / f"{number}.png").symlink_to(root / "pool" / f"{number}.png")
    (root / "train" / "owl").symlink_to(outside)
    (root / "test" / "owl").mkdir()
    (root / "test" / "owl" / "1.png").symlink_to(outside / "1.png")
    event = import_folder(root)
    assert event.report["images"] == {
        "train": {"cat": 2, "dog": 3, "owl": 2},
        "test": {"cat": 2, "dog": 3, "owl": 1},
    }
    assert event.report["ignored"] == [
        {
            "reason": "in a folder that is not used",
            "files": 10,
            "first": [f"pool/{number}.png" for number in range(10)],
        }
    ]


@pytest.mark.parametrize("hidden", [False, True])
def test_two_links_to_one_file_are_read_once(tmp_path: Path, hidden: bool) -> None:
    """By the first of their paths: an image has one label, and is a training or a test image."""
    images = {f"{part}/{name}/0.png": image_file() for part in ("train", "test") for name in "ab"}
    root = write_files(tmp_path / "pets", images)
    pool = write_files((root / ".pool") if hidden else (tmp_path / "pool"), {"0.png": image_file()})
    for link in ("train/a/l.png", "test/b/l.png", "test/b/m.png", "test/a/l.png"):
        (root / link).symlink_to(pool / "0.png")
    event = import_folder(root)
    assert event.report["images"] == {"train": {"a": 1, "b": 1}, "test": {"a": 2, "b": 1}}
    groups = {group["reason"]: group["first"] for group in event.report["ignored"]}
    assert groups["the same file as one that is read elsewhere"] == [
        "train/a/l.png",
        "test/b/l.png",
        "test/b/m.png",
    ]


def test_links_to_images_of_the_same_class_are_no_images(tmp_path: Path) -> None:
    """The fifth, a test image, would be one of the training images."""
    root = write_files(tmp_path / "pets", class_folders())
    for number in range(5):
        (root / "cat" / f"{number}l.png").symlink_to(f"{number}.png")
    event = import_folder(root)
    assert event.report["images"]["train"] == {"cat": 4, "mouse": 4}
    assert event.report["ignored"] == [
        {
            "reason": "the same file as one that is read elsewhere",
            "files": 5,
            "first": [f"cat/{number}l.png" for number in range(5)],
        }
    ]


def test_link_to_a_class_that_is_not_imported(tmp_path: Path) -> None:
    files = {f"{name}/{number}.png": image_file() for name in "abc" for number in range(5)}
    root = write_files(tmp_path / "pets", files)
    (root / "b" / "l.png").symlink_to("../a/0.png")
    event = import_folder(root, classes=["b", "c"])
    assert event.report["images"]["train"] == {"b": 4, "c": 4}
    assert event.report["ignored"] == [
        {
            "reason": "of a class that is not imported",
            "files": 6,
            "first": [*(f"a/{number}.png" for number in range(5)), "b/l.png"],
        }
    ]


def test_pool_of_images_may_be_called_images(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", {f"images/{n}.png": image_file() for n in range(4)})
    for number, folder in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (root / folder).mkdir(parents=True)
        (root / folder / "0.png").symlink_to(root / "images" / f"{number}.png")
    event = import_folder(root)
    assert event.report["images"] == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}
    assert event.report["layout"].endswith(' Not used: "images".')


def test_two_links_to_one_folder_are_read_once(tmp_path: Path) -> None:
    """By the first of their names, so that the second class has no images."""
    outside = write_files(tmp_path / "outside", {f"{n}.png": image_file() for n in range(5)})
    root = write_files(tmp_path / "pets", {f"cat/{n}.png": image_file() for n in range(5)})
    (root / "owl").symlink_to(outside)
    (root / "dog").symlink_to(outside)
    event = import_folder(root)
    assert dataset_of(event).class_names == ("cat", "dog")
    assert event.report["ignored"][0]["first"] == ["owl"]


def test_hidden_empty_and_special_entries_are_named(tmp_path: Path) -> None:
    files = {".git/config": b"x", ".git/hooks/a.png": image_file(), "Thumbs.db": b"x"}
    root = write_files(tmp_path / "pets", class_folders() | files)
    (root / "cat" / "empty" / "inside").mkdir(parents=True)
    (root / ".cache").mkdir()
    os.mkfifo(root / "cat" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "s"))
        assert reasons(root) == {
            ".git/config": "hidden",
            ".git/hooks/a.png": "hidden",
            "Thumbs.db": "left behind by a desktop",
            ".cache": "an empty folder",
            "cat/empty/inside": "an empty folder",
            "cat/pipe.png": "neither a file nor a folder",
            "s": "neither a file nor a folder",
        }


@pytest.mark.parametrize("method", ["read_bytes", "stat"])
def test_files_that_cannot_be_opened_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    root = write_files(tmp_path / "pets", class_folders())
    original = getattr(Path, method)

    def forbidden(path: Path, **options: Any) -> Any:
        if path.name in ("1.png", "3.png") and path.parent.name == "cat":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, **options)

    monkeypatch.setattr(Path, method, forbidden)
    with pytest.raises(Refused) as caught:
        import_folder(root)
    assert (caught.value.code, caught.value.message) == (
        "unreadable_image",
        '2 images cannot be used. "cat/1.png", "cat/3.png": cannot be opened (Permission denied).',
    )


def test_folder_that_cannot_be_listed_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path / "pets", class_folders())
    scandir = os.scandir

    def forbidden(path: Path) -> Any:
        if path.name == "cat":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(Refused) as caught:
        import_folder(root)
    assert (caught.value.code, caught.value.message) == (
        "unreadable_folder",
        'The folder "cat" cannot be listed (Permission denied).',
    )


@pytest.mark.parametrize("function", ["scandir", "read_bytes"])
def test_failing_disk_is_not_the_folders_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    root = write_files(tmp_path / "pets", class_folders())

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os if function == "scandir" else Path, function, fail)
    with pytest.raises(OSError, match="Input/output error"):
        import_folder(root)


def test_folder_with_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_source, "MAX_FILES", 9)
    root = write_files(tmp_path / "pets", class_folders())
    with pytest.raises(Refused, match="more than 9 files") as caught:
        import_folder(root)
    assert (caught.value.code, file_source.MAX_FILES) == ("too_large", 5_000_000)


def test_cifars_pickles_in_a_folder_are_refused(tmp_path: Path) -> None:
    root = write_files(tmp_path / "cifar", {"data_batch_1": b"\x80\x02}q\x01."})
    with pytest.raises(Refused, match="binary version") as caught:
        import_folder(root)
    assert caught.value.code == "unsafe_dataset"


def test_pickles_of_other_names_in_a_folder_are_not_opened(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", class_folders() | {"a.pkl": b"\x80\x02", "b.npy": b"x"})
    assert reasons(root) == {"a.pkl": "not an image", "b.npy": "not an image"}


# -- names in two forms of Unicode

NFC = "M\u00f6we"
NFD = "Mo\u0308we"


def test_names_are_in_nfc_whatever_the_folder_has(tmp_path: Path) -> None:
    """Training images come from Linux, test images from macOS."""
    files = {
        f"{part}/{name}/{form}.png": image_file()
        for part, form in (("train", NFC), ("test", NFD))
        for name in (form, "Nachtigall")
    }
    root = write_files(tmp_path / "birds", files)
    event = import_folder(root, classes=["Nachtigall", NFD])
    assert dataset_of(event).class_names == ("Nachtigall", NFC)
    assert event.report["images"]["test"] == {"Nachtigall": 1, NFC: 1}


def test_entries_whose_names_look_alike_are_refused(tmp_path: Path) -> None:
    files = {f"birds/{name}/{number}.png": b"x" for name in (NFC, NFD) for number in range(5)}
    root = write_files(tmp_path, files) / "birds"
    with pytest.raises(Refused, match="in two forms of Unicode") as caught:
        import_folder(root)
    assert caught.value.code == "unknown_format"


def test_message_about_alike_names_names_the_folder(tmp_path: Path) -> None:
    files = {f"{name}/0.png": b"x" for name in (NFC, NFD)}
    for folder, beginning in (("birds", "The folder has two"), ("", 'The folder "birds" has two')):
        root = write_files(tmp_path / "birds", files).parent / folder
        with pytest.raises(Refused) as caught:
            FolderSource(root, lambda completed, total: None)
        assert caught.value.message.startswith(beginning)


def test_order_of_classes_is_that_of_their_composed_names(tmp_path: Path) -> None:
    """Decomposed, the name begins with "o" and would be before "p"; composed it is after "z"."""
    files = {f"{name}/{n}.png": image_file() for name in ("o\u0308", "p") for n in range(5)}
    root = write_files(tmp_path / "letters", files)
    event = import_folder(root)
    assert dataset_of(event).class_names == ("p", "\u00f6")
    job = import_job(tmp_path / "job")
    assert labels_of(load(job).train) == [0] * 4 + [1] * 4


def test_link_to_a_hidden_folder_is_followed(tmp_path: Path) -> None:
    """As git-annex and others store their files."""
    files = {f".data/cat/{n}.png": image_file() for n in range(5)} | {
        f"dog/{n}.png": image_file() for n in range(5)
    }
    root = write_files(tmp_path / "pets", files)
    (root / "cat").symlink_to(".data/cat")
    event = import_folder(root)
    assert event.report["images"]["train"] == {"cat": 4, "dog": 4}
    assert event.report["ignored_files"] == 5


def test_first_of_two_links_is_the_first_by_its_path(tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {f"{n}.png": image_file() for n in range(5)})
    root = write_files(tmp_path / "pets", class_folders())
    for name in ("mouse", "cat"):
        (root / name / "more").symlink_to(outside)
    event = import_folder(root)
    assert event.report["images"]["train"] == {"cat": 8, "mouse": 4}
    assert event.report["ignored"][0]["first"] == ["mouse/more"]
