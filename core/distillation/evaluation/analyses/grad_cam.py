"""Grad-CAM (Selvaraju et al., ICCV 2017) of the true class, clean and attacked (Fig. 4 of the paper). h w feature map."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.distillation.evaluation.analyses.attacked import attacked, networks
from core.distillation.evaluation.steps import Finding, Step
from core.distillation.evaluation.target import EvaluationTarget
from core.distillation.forward import convolutions_in, mode
from core.distillation.models.network import Classifier
from core.jobspec.evaluation import GradCam


def grad_cam(
    settings: GradCam, subject: EvaluationTarget, state: dict[str, Any] | None = None
) -> Iterator[Step | Finding]:
    """Of the first images of as many classes as there are; each network is attacked for itself."""
    labels_N = subject.images.labels_N.cpu()
    firsts = [int((labels_N == label).nonzero()[0]) for label in sorted(set(labels_N.tolist()))]
    others = [index for index in range(len(labels_N)) if index not in firsts]
    chosen = torch.tensor((firsts + others)[: settings.images])
    images_BCHW, labels_B = subject.images.batch(chosen.to(subject.images.labels_N.device))
    rows: list[dict[str, Any]] = [
        {"label": int(label), "png_clean": picture(image)}
        for image, label in zip(images_BCHW, labels_B, strict=True)
    ]
    shifts: dict[str, list[float]] = {}
    for name, network in networks(subject).items():
        with mode(network, "eval"), convolutions_in("fp32"):
            adversarial_BCHW = attacked(network, subject, images_BCHW, labels_B, 0, "grad_cam")
            clean, under = (
                look(network, images_BCHW, labels_B),
                look(network, adversarial_BCHW, labels_B),
            )
        shifts[name] = (clean[0] - under[0]).abs().flatten(1).mean(dim=1).tolist()
        for index, row in enumerate(rows):
            row[name] = {
                "png_adversarial": picture(adversarial_BCHW[index]),
                "png_map_clean": picture(clean[0][index]),
                "png_map_adversarial": picture(under[0][index]),
                "predicted_clean": int(clean[1][index]),
                "predicted_adversarial": int(under[1][index]),
                "shift": shifts[name][index],
            }
        yield Step(len(shifts), len(networks(subject)), {})
    yield Finding(
        None, values={"grad_cam_shift": float(np.mean(shifts["network"]))}, data={"rows": rows}
    )


def look(network: Classifier, images_BCHW: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
    """Maps in [0, 1], [B, 1, h, w], and predictions [B]: feature maps weighed by the mean gradient of the true class's logit.

    Where that is not finite the map is empty.
    """
    with torch.enable_grad():
        maps_BDHW, features_BD = network.maps_and_features(images_BCHW.detach().requires_grad_())
        logits_BK = network.classify(features_BD)
        (gradient_BDHW,) = torch.autograd.grad(
            logits_BK.gather(1, labels_B[:, None]).sum(), maps_BDHW
        )
    weights_BD11 = gradient_BDHW.mean(dim=(2, 3), keepdim=True)
    cam_B1HW = (
        (weights_BD11 * maps_BDHW)
        .sum(dim=1, keepdim=True)
        .clamp_min(0)
        .detach()
        .nan_to_num(0, 0, 0)
    )
    return cam_B1HW / cam_B1HW.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12), logits_BK.argmax(
        dim=1
    )


def picture(image_CHW: Tensor) -> str:
    """A PNG in base64, of values in [0, 1]."""
    pixels = (
        (image_CHW.detach().cpu().clamp(0, 1) * 255)
        .round()
        .to(torch.uint8)
        .permute(1, 2, 0)
        .numpy()
    )
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
