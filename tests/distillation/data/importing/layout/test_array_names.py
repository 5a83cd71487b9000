"""What the arrays of an .npz hold, by their names."""

import pytest

from core.distillation.data.importing.layout.array_names import array_role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("image", ("train", "images")),
        ("images", ("train", "images")),
        ("X", ("train", "images")),
        ("data", ("train", "images")),
        ("label", ("train", "labels")),
        ("labels", ("train", "labels")),
        ("y", ("train", "labels")),
        ("targets", ("train", "labels")),
        ("train_images", ("train", "images")),
        ("train_labels", ("train", "labels")),
        ("val_images", ("val", "images")),
        ("test_labels", ("test", "labels")),
        ("x_train", ("train", "images")),
        ("X_test", ("test", "images")),
        ("y_test", ("test", "labels")),
        ("trainX", ("train", "images")),
        ("testY", ("test", "labels")),
        ("xtrain", ("train", "images")),
        ("ytest", ("test", "labels")),
        ("YVal", ("val", "labels")),
        ("xray", None),
        ("images-validation", ("val", "images")),
        ("arr_0", None),
        ("train", None),
        ("train_test_images", None),
        ("image_labels", None),
        ("weights", None),
    ],
)
def test_role_of_an_array(name: str, role: tuple[str, str] | None) -> None:
    assert array_role(name) == role
