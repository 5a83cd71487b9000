"""Which folders are classes, and which are parts of a split."""

import io

import pytest

from core.distillation.data.importing.file_source import UnpackedSource
from core.distillation.data.importing.layout.folder_layout import FolderLayout, find_layout
from core.distillation.data.importing.layout.folder_list import FolderList
from core.distillation.data.importing.layout.folder_tree import FolderTree
from core.errors import Refused


def layout_of(
    *folders: str, empty: tuple[str, ...] = (), unread: tuple[str, ...] = ()
) -> FolderLayout:
    """The layout of folders with one image each, of empty ones, and of images that are not read."""
    files = UnpackedSource(io.BytesIO())
    folder_list = FolderList()
    for folder in folders:
        files.add(f"{folder}/0.png", iter([b"x"]))
        folder_list.add(folder)
    for folder in empty:
        folder_list.add(folder)
    for folder in unread:
        folder_list.add_parent_of(f"{folder}/0.heic")
    files.folders = folder_list.visible()
    files.folders_of_unread_images = folder_list.with_unread_images
    return find_layout(FolderTree(files))


def refusal_of_layout(*folders: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        layout_of(*folders)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Test"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("Train", "Val"),
        ("TrainingSet", "TestSet"),
        ("trainset", "testset"),
        ("train2017", "val2017"),
        ("training-images", "validation-images"),
        ("traindata", "valdata"),
        ("trainval", "test"),
        ("my train", "my eval"),
        ("train", "dev"),
        ("xtrain", "xtest"),
        ("traindir", "testdir"),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "pets/", "pets/pets/"])
def test_split_folders_are_known_by_their_names(train: str, test: str, wrapper: str) -> None:
    layout = layout_of(*(f"{wrapper}{part}/{name}" for part in (train, test) for name in "ab"))
    assert layout.train == {"a": f"{wrapper}{train}/a", "b": f"{wrapper}{train}/b"}
    assert layout.test == {"a": f"{wrapper}{test}/a", "b": f"{wrapper}{test}/b"}
    assert layout.sentence == (
        f'One folder a class, training images in "{wrapper}{train}" and test images in '
        f'"{wrapper}{test}".'
    )


def test_split_folders_may_repeat_themselves_inside() -> None:
    """As in Kaggle's archive of Intel's scenes."""
    layout = layout_of(
        "seg_train/seg_train/sea",
        "seg_train/seg_train/street",
        "seg_test/seg_test/sea",
        "seg_test/seg_test/street",
        "seg_pred/seg_pred",
    )
    assert layout.train == {
        "sea": "seg_train/seg_train/sea",
        "street": "seg_train/seg_train/street",
    }
    assert layout.test == {"sea": "seg_test/seg_test/sea", "street": "seg_test/seg_test/street"}
    assert layout.sentence.endswith('Not used: "seg_pred".')


def test_validation_images_serve_where_tests_have_no_labels() -> None:
    layout = layout_of("train/a", "train/b", "val/a", "val/b", "test")
    assert layout.test == {"a": "val/a", "b": "val/b"}
    assert layout.sentence == (
        'One folder a class, training images in "train" and test images in "val". The labels of '
        '"test" are unknown: there are no folders of the classes in it. Not used: "test".'
    )


@pytest.mark.parametrize("inner", ["unknown", "test", "test/unknown"])
def test_one_folder_of_another_name_has_no_labels_either(inner: str) -> None:
    layout = layout_of("train/a", "train/b", "val/a", "val/b", f"test/{inner}")
    assert layout.test == {"a": "val/a", "b": "val/b"}


def test_labeled_test_folder_comes_before_validation_images() -> None:
    layout = layout_of("train/a", "train/b", "val/a", "val/b", "test/a", "test/b")
    assert layout.test == {"a": "test/a", "b": "test/b"}
    assert layout.sentence.endswith('Not used: "val".')


def test_train_folder_with_a_test_folder_without_labels_is_split() -> None:
    layout = layout_of("train/a", "train/b", "test")
    assert layout.train == {"a": "train/a", "b": "train/b"}
    assert layout.test is None
    assert layout.sentence == (
        'One folder a class in "train", not split: by name, every 5th image of each class became a '
        'test image. The labels of "test" are unknown: there are no folders of the classes in it. '
        'Not used: "test".'
    )


def test_train_folder_beside_images_without_labels_is_split() -> None:
    layout = layout_of("train/a", "train/b", "unlabeled")
    assert layout.train == {"a": "train/a", "b": "train/b"}
    assert (layout.test, layout.sentence[-22:]) == (None, 'Not used: "unlabeled".')


def test_second_test_folder_without_classes_is_not_used() -> None:
    """As in Fruits-360."""
    layout = layout_of("Training/a", "Training/b", "Test/a", "Test/b", "test-multiple_fruits")
    assert layout.test == {"a": "Test/a", "b": "Test/b"}
    assert 'Not used: "test-multiple_fruits".' in layout.sentence


def test_test_folder_with_all_classes_comes_before_others() -> None:
    layout = layout_of("train/a", "train/b", "test1/a", "test2/a", "test2/b")
    assert layout.test == {"a": "test2/a", "b": "test2/b"}


def test_exact_name_comes_before_others() -> None:
    layout = layout_of(
        "train/a", "train/b", "train_small/a", "train_small/b", "test/a", "test/b", "test_2/a"
    )
    assert layout.train == {"a": "train/a", "b": "train/b"}
    assert layout.test == {"a": "test/a", "b": "test/b"}


@pytest.mark.parametrize(
    ("folders", "content"),
    [
        (("train/a", "train/b", "test1/a", "test1/b", "test2/a", "test2/b"), "test images"),
        (("train1/a", "train1/b", "train2/a", "train2/b", "test/a", "test/b"), "training images"),
    ],
)
def test_two_folders_of_equal_right_are_refused(folders: tuple[str, ...], content: str) -> None:
    code, message = refusal_of_layout(*folders)
    assert code == "unknown_format"
    assert f"may all be the folder of {content}" in message


def test_equal_folders_of_other_names_are_refused() -> None:
    assert refusal_of_layout("left/a", "left/b", "right/a", "right/b") == (
        "unknown_format",
        '"left", "right" hold the same folders, "a", "b", so they seem to be parts of a split and '
        "not classes. Call them train and test; if they are classes, move their images out of the "
        "folders in them.",
    )


@pytest.mark.parametrize("other", ["photos", "2019"])
def test_equal_folder_beside_test_images_has_the_training_images(other: str) -> None:
    layout = layout_of(f"{other}/a", f"{other}/b", "test/a", "test/b")
    assert layout.train == {"a": f"{other}/a", "b": f"{other}/b"}
    assert layout.test == {"a": "test/a", "b": "test/b"}


def test_equal_folder_beside_a_train_folder_has_the_test_images() -> None:
    layout = layout_of("train/a", "train/b", "held out/a", "held out/b")
    assert layout.test == {"a": "held out/a", "b": "held out/b"}


@pytest.mark.parametrize(
    "folders", [("train", "test"), ("train", "val", "test"), ("test/a", "test/b", "val/a")]
)
def test_split_without_labeled_training_images_is_refused(folders: tuple[str, ...]) -> None:
    code, message = refusal_of_layout(*folders)
    assert code == "too_few_classes"
    assert "train/CLASS/" in message


# -- classes


def test_class_may_be_called_train() -> None:
    assert layout_of("bus", "car", "train").train == {"bus": "bus", "car": "car", "train": "train"}
    with_folders = layout_of("bus/red", "bus/blue", "train/long", "train/short", "car")
    assert list(with_folders.train) == ["bus", "car", "train"]


@pytest.mark.parametrize("name", ["valley", "contest", "trainers", "test_train", "devil"])
def test_words_that_begin_alike_are_classes(name: str) -> None:
    assert list(layout_of("a", name).train) == sorted(["a", name])


def test_classes_may_have_one_folder_of_the_same_name_inside() -> None:
    """As in Tiny ImageNet."""
    assert layout_of("cat/images", "dog/images").train == {"cat": "cat", "dog": "dog"}


@pytest.mark.parametrize("test", ["test", "val", "Validation"])
def test_split_may_be_inside_of_the_classes(test: str) -> None:
    layout = layout_of(*(f"{name}/{part}" for name in ("cat", "dog") for part in ("train", test)))
    assert layout.train == {"cat": "cat/train", "dog": "dog/train"}
    assert layout.test == {"cat": f"cat/{test}", "dog": f"dog/{test}"}
    assert layout.sentence == (
        'One folder a class, training images in its folder "train" and test images in its folder '
        f'"{test}".'
    )


def test_masks_inside_of_the_classes_are_not_images_of_theirs() -> None:
    """As in the COVID-19 radiography database."""
    layout = layout_of("flu/images", "flu/masks", "none/images", "none/masks")
    assert layout.train == {"flu": "flu/images", "none": "none/images"}
    assert (layout.test, '"images"' in layout.sentence) == (None, True)


@pytest.mark.parametrize("annotation", ["Annotation", "annotations", "lists", "xml files"])
def test_folder_that_repeats_the_classes_without_images_is_none(annotation: str) -> None:
    """As in the Stanford dogs."""
    layout = layout_of("Images/cat", "Images/dog", empty=(f"{annotation}/cat", f"{annotation}/dog"))
    assert layout.train == {"cat": "Images/cat", "dog": "Images/dog"}


def test_folders_without_images_beside_images_are_no_classes() -> None:
    layout = layout_of("Images/cat", "Images/dog", empty=("lists", "docs"))
    assert list(layout.train) == ["cat", "dog"]


def test_masks_beside_images_are_no_classes() -> None:
    layout = layout_of("images/cat", "images/dog", "masks/cat", "masks/dog")
    assert layout.train == {"cat": "images/cat", "dog": "images/dog"}


def test_folder_without_images_beside_classes_remains_a_class() -> None:
    """It is refused later, by name."""
    assert list(layout_of("cat", "dog", empty=("owl",)).train) == ["cat", "dog", "owl"]
    assert list(layout_of("cat/big", "cat/small", empty=("dog",)).train) == ["cat", "dog"]


@pytest.mark.parametrize("kind", ["empty", "unread"])
@pytest.mark.parametrize(("missing", "present"), [("train", "test"), ("test", "train")])
@pytest.mark.parametrize("wrapper", ["", "pets/"])
def test_part_without_images_remains_a_part(
    kind: str, missing: str, present: str, wrapper: str
) -> None:
    """Its classes are refused later, by name."""
    folders = {part: [f"{wrapper}{part}/{name}" for name in "ab"] for part in (missing, present)}
    layout = layout_of(*folders[present], **{kind: tuple(folders[missing])})
    assert list(layout.train.values()) == folders["train"]
    assert layout.test is not None
    assert list(layout.test.values()) == folders["test"]


@pytest.mark.parametrize("kind", ["empty", "unread"])
def test_test_part_without_images_stays_beside_other_names(kind: str) -> None:
    layout = layout_of("Images/a", "Images/b", **{kind: ("test/a", "test/b")})
    assert (layout.train_folder, layout.test_folder) == ("Images", "test")


def test_annotations_of_a_part_are_not_the_part() -> None:
    """They have its name, and no images."""
    annotations = tuple(f"{part}_labels/{name}" for part in ("train", "test") for name in "ab")
    images = [f"{part}_images/{name}" for part in ("train", "test") for name in "ab"]
    layout = layout_of(*images, empty=annotations)
    assert (layout.train_folder, layout.test_folder) == ("train_images", "test_images")
    layout = layout_of("train/a", "train/b", empty=("test_labels/a", "test_labels/b", "val/notes"))
    assert (layout.train["a"], layout.test) == ("train/a", None)


@pytest.mark.parametrize("kind", ["empty", "unread"])
def test_class_without_images_may_repeat_anothers_folders(kind: str) -> None:
    layout = layout_of("a/left", "a/right", "b/x", **{kind: ("c/left", "c/right")})
    assert list(layout.train) == ["a", "b", "c"]


def test_unread_images_are_no_annotations() -> None:
    layout = layout_of("old/a", "old/b", unread=("new/a", "new/b"))
    assert list(layout.train) == ["new", "old"]
    layout = layout_of("old/a", "old/b", unread=("masks/a", "masks/b"))
    assert list(layout.train) == ["a", "b"]


@pytest.mark.parametrize("train", ["train", "bullet_train"])
def test_class_train_beside_flat_classes_is_asked_about(train: str) -> None:
    assert refusal_of_layout("bus", "car", f"{train}/red", f"{train}/blue") == (
        "unknown_format",
        f'"{train}" has folders in it, and beside it "bus", "car" have images and no folders. If '
        "all of them are classes, move the images out of the folders in "
        f'"{train}"; if it has the training images, leave the others out.',
    )


# -- splits below one of several folders


def test_split_may_be_below_one_of_several_folders() -> None:
    layout = layout_of("data/train/a", "data/train/b", "data/val/a", "data/val/b", "test")
    assert layout.train == {"a": "data/train/a", "b": "data/train/b"}
    assert layout.test == {"a": "data/val/a", "b": "data/val/b"}
    assert layout.sentence == (
        'One folder a class, training images in "data/train" and test images in "data/val". Not '
        'used: "test".'
    )
    layout = layout_of("x/fruits/train/a", "x/fruits/train/b", "x/fruits/test/a", "x/docs")
    assert (layout.train_folder, layout.test_folder) == ("x/fruits/train", "x/fruits/test")
    assert layout.sentence.endswith(' Not used: "x/docs".')


def test_train_folder_in_a_wrapper_beside_test_images() -> None:
    layout = layout_of("data/train/a", "data/train/b", "test/a", "test/b")
    assert layout.train == {"a": "data/train/a", "b": "data/train/b"}
    assert layout.test == {"a": "test/a", "b": "test/b"}


def test_splits_below_several_folders_are_refused() -> None:
    fruits = ("fruits/train/a", "fruits/train/b", "fruits/test/a", "fruits/test/b")
    pets = ("pets/train/c", "pets/train/d", "pets/val/c", "pets/val/d")
    code, message = refusal_of_layout(*fruits, *pets)
    assert code == "unknown_format"
    assert message.startswith('"fruits", "pets" each have training and test images in them')


@pytest.mark.parametrize(
    "folders",
    [
        ("one/one/a", "one/one/b", "two/two/a", "two/two/b"),
        ("one/images/a", "one/images/b", "two/images/a", "two/images/b"),
        ("one/a", "one/b", "two/more/two/a", "two/more/two/b"),
        tuple(
            f"{name}/{part}/{c}"
            for name in ("one", "two")
            for part in ("train", "test")
            for c in "ab"
        ),
        tuple(
            f"{name}/{part}/{c}"
            for name in ("one", "two")
            for part in ("images", "masks")
            for c in "ab"
        ),
        ("one/a", "one/b", "one/c", "two/a", "two/b"),
        ("one/a", "one/b", "two/a", "two/b", "two/c", "three"),
    ],
)
def test_equal_folders_are_refused_at_any_depth(folders: tuple[str, ...]) -> None:
    code, message = refusal_of_layout(*folders)
    assert code == "unknown_format"
    assert message.startswith('"one", "two" hold the same folders, "a", "b", so they seem')


def test_folders_that_share_one_name_are_classes() -> None:
    layout = layout_of("cat/big", "cat/small", "dog/big", "dog/old")
    assert list(layout.train) == ["cat", "dog"]
    assert list(layout_of("cat/big", "cat/small", "dog/big").train) == ["cat", "dog"]


def test_test_folder_may_lack_classes_of_another_folder() -> None:
    """They are refused later, by name."""
    layout = layout_of("photos/a", "photos/b", "photos/c", "test/a", "test/b")
    assert (layout.train_folder, layout.test_folder) == ("photos", "test")


@pytest.mark.parametrize("masks", [("Masks",), ("Masks/m",), ("Masks/a", "Masks/b")])
def test_annotations_beside_images_are_not_used(masks: tuple[str, ...]) -> None:
    layout = layout_of("Images/a", "Images/b", "Images/c", *masks)
    assert layout.train == {name: f"Images/{name}" for name in "abc"}
    assert layout.sentence.endswith(' Not used: "Masks".')


def test_classes_may_be_called_images_and_masks() -> None:
    assert list(layout_of("images", "masks").train) == ["images", "masks"]
    assert list(layout_of("images/a", "images/b", "masks/c", "masks/d").train) == [
        "images",
        "masks",
    ]


@pytest.mark.parametrize(
    ("folders", "part"),
    [
        (("a/train", "a/test", "b/train"), "test"),
        (("a/train", "a/test", "b/test"), "train"),
        (("a/train", "a/val", "b"), "train"),
        (("a/train", "a/val", "b/train", "b/test"), "val"),
    ],
)
def test_class_without_the_others_split_is_refused(folders: tuple[str, ...], part: str) -> None:
    assert refusal_of_layout(*folders) == (
        "empty_class",
        f'The class folder "b" has no folder "{part}" with images, and "a" has one; every class '
        "needs both training and test images, or none of them a folder for these.",
    )


def test_masks_in_some_classes_are_not_images_of_theirs() -> None:
    layout = layout_of("flu/images", "flu/masks", "none/images")
    assert layout.train == {"flu": "flu/images", "none": "none/images"}
    assert layout.sentence.endswith(' Not used: "flu/masks".')
