import pytest
import torch

from core.distillation.data import Images


def four_images() -> Images:
    return Images(
        torch.arange(4 * 3 * 8 * 8).remainder(256).to(torch.uint8).view(4, 3, 8, 8),
        torch.tensor([3, 2, 1, 0]),
    )


def test_batch_is_float_in_zero_to_one_with_its_labels() -> None:
    images = Images(
        torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1), torch.tensor([7, 8, 9])
    )
    batch_BCHW, labels_B = images.batch(torch.tensor([2, 1, 0, 2]))
    assert batch_BCHW.dtype == torch.float32
    assert batch_BCHW.flatten().tolist() == pytest.approx([1.0, 0.2, 0.0, 1.0])
    assert batch_BCHW.max() == 1
    assert labels_B.tolist() == [9, 8, 7, 9]


def test_batch_is_a_copy() -> None:
    images = four_images()
    before = images.images_NCHW.clone()
    images.batch(torch.arange(4))[0].zero_()
    assert torch.equal(images.images_NCHW, before)


def test_subset_has_the_images_in_the_order_of_the_indices() -> None:
    images = four_images()
    subset = images.subset(torch.tensor([2, 0]))
    assert len(subset) == 2
    assert subset.labels_N.tolist() == [1, 3]
    assert torch.equal(subset.images_NCHW, images.images_NCHW[[2, 0]])


def test_images_stay_bytes_on_another_device() -> None:
    assert four_images().to("meta").images_NCHW.dtype == torch.uint8


def test_float_images_are_refused() -> None:
    with pytest.raises(TypeError, match="uint8"):
        Images(torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    "labels", [torch.zeros(3, dtype=torch.int64), torch.zeros(4, 1, dtype=torch.int64)]
)
def test_labels_of_another_shape_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"must have shape \[N, C, H, W\] and labels \[N\]"):
        Images(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), labels)


@pytest.mark.gpu
def test_batch_on_the_gpu_takes_indices_from_the_cpu() -> None:
    images = four_images().to("cuda")
    batch_BCHW, labels_B = images.batch(torch.tensor([1, 3]))
    assert batch_BCHW.device.type == "cuda"
    # CUDA's division by 255 may differ in the last bit.
    torch.testing.assert_close(
        batch_BCHW.cpu(), four_images().batch(torch.tensor([1, 3]))[0], rtol=0, atol=1e-7
    )
    assert labels_B.tolist() == [2, 0]
