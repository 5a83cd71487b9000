"""Grad-CAM (Selvaraju et al., ICCV 2017) of the true class, clean and attacked (Fig. 4).

B images, C H W image, D h w feature map.
"""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation.evaluation.analyses.adversarial_batches import networks, pgd20_images
from core.distillation.evaluation.steps import Finding, MeasureState, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.models.network import Classifier
from core.distillation.network_modes import convolution_precision, network_mode
from core.jobspec.evaluation import GradCam


def grad_cam(
    target: EvaluationTarget, settings: GradCam, state: MeasureState | None = None
) -> Iterator[Step | Finding]:
    """Draw maps of a few images; each network is attacked with images made for itself.

    A step after each network. They are few, so resuming starts anew: the state is empty.
    """
    indices = _first_of_each_class(target.images.labels_N.cpu(), settings.images)
    images_BCHW, labels_B = target.images.batch(indices.to(target.images.labels_N.device))
    rows: list[dict[str, Any]] = [
        {"label": int(label), "png_clean": png_base64(image)}
        for image, label in zip(images_BCHW, labels_B, strict=True)
    ]
    shifts: dict[str, list[float]] = {}
    for name, network in networks(target).items():
        columns = _maps_of_network(network, target, images_BCHW, labels_B)
        for row, column in zip(rows, columns, strict=True):
            row[name] = column
        shifts[name] = [column["shift"] for column in columns]
        yield Step(len(shifts), len(networks(target)), {})
    values = {"grad_cam_shift": float(np.mean(shifts["network"]))}
    yield Finding(None, values=values, data={"rows": rows})


def _first_of_each_class(labels_N: Tensor, count: int) -> Tensor:
    """Return indices of ``count`` images: the first of each class, then the others in order."""
    firsts = [int((labels_N == label).nonzero()[0]) for label in sorted(set(labels_N.tolist()))]
    others = [index for index in range(len(labels_N)) if index not in firsts]
    return torch.tensor((firsts + others)[:count])


def _maps_of_network(
    network: Classifier, target: EvaluationTarget, images_BCHW: Tensor, labels_B: Tensor
) -> list[dict[str, Any]]:
    """Return the report's entry of each image: pictures, predictions, and how far the map moved."""
    with network_mode(network, "eval"), convolution_precision("fp32"):
        adversarial_BCHW = pgd20_images(network, target, images_BCHW, labels_B, 0, "grad_cam")
        clean_maps, clean_predictions = grad_cam_maps(network, images_BCHW, labels_B)
        adversarial_maps, adversarial_predictions = grad_cam_maps(
            network, adversarial_BCHW, labels_B
        )
    shift_B = (clean_maps - adversarial_maps).abs().flatten(1).mean(dim=1).tolist()
    return [
        {
            "png_adversarial": png_base64(adversarial_BCHW[index]),
            "png_map_clean": png_base64(clean_maps[index]),
            "png_map_adversarial": png_base64(adversarial_maps[index]),
            "predicted_clean": int(clean_predictions[index]),
            "predicted_adversarial": int(adversarial_predictions[index]),
            "shift": shift,
        }
        for index, shift in enumerate(shift_B)
    ]


def grad_cam_maps(
    network: Classifier, images_BCHW: Tensor, labels_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Return maps in [0, 1], [B, 1, h, w], and predictions [B].

    A map is the sum of the feature maps, weighted by the mean gradient of the true class's logit.
    Where that is not finite the map is zero.
    """
    with torch.enable_grad():
        maps_BDHW, features_BD = network.maps_and_features(images_BCHW.detach().requires_grad_())
        logits_BK = network.classify(features_BD)
        label_logits_B1 = logits_BK.gather(1, labels_B[:, None])
        (gradient_BDHW,) = torch.autograd.grad(label_logits_B1.sum(), maps_BDHW)
    weights_BD11 = gradient_BDHW.mean(dim=(2, 3), keepdim=True)
    cam_B1HW = (weights_BD11 * maps_BDHW).sum(dim=1, keepdim=True).clamp_min(0)
    cam_B1HW = cam_B1HW.detach().nan_to_num(0, 0, 0)
    highest_B111 = cam_B1HW.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    return cam_B1HW / highest_B111, logits_BK.argmax(dim=1)


def png_base64(image_CHW: Tensor) -> str:
    """Return a PNG in base64 of an image of 1 or 3 channels, with values in [0, 1]."""
    bytes_CHW = (image_CHW.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels_HWC = bytes_CHW.permute(1, 2, 0).numpy()
    if pixels_HWC.shape[2] == 1:
        pixels_HWC = pixels_HWC.squeeze(2)  # Pillow takes gray images without a channel axis
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
