"""Adversarial examples: which images are shown, and that the picture is what was attacked."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.distillation.data.images import Images
from core.distillation.evaluation import EvaluationTarget, last_finding
from core.distillation.evaluation.analyses import examples as module
from core.distillation.evaluation.analyses.adversarial_batches import pgd20_images
from core.distillation.evaluation.analyses.examples import examples, outcome, prediction, select
from core.distillation.models.network import Classifier
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.evaluation import Examples
from tests.distillation.evaluation.builders import (
    PixelClassifier,
    digit_images,
    robust_network,
    target,
)

RADIUS = 0.15


class BrightestChannel(PixelClassifier):
    """Its logits are the channels of the one pixel."""

    def classify(self, features_BD: Tensor) -> Tensor:
        return features_BD


def digit_target(**changes: Any) -> EvaluationTarget:
    torch.manual_seed(3)
    reference = SmallCnn(10, width=4, channels=1).eval()
    settings = {"reference": reference, "batch_size": 25, "radius": RADIUS} | changes
    return target(robust_network(), digit_images(60), **settings)


def data_of(evaluated: EvaluationTarget, count: int = 16) -> dict[str, Any]:
    return last_finding(examples(evaluated, Examples(count=count))).data


def tiles(data: dict[str, Any]) -> np.ndarray:
    """Return the picture as [examples, columns, H, W(, 3)], in levels from 0 to 255."""
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(data["png_picture"]))))
    width = data["picture"]["tile_width"]
    height = data["picture"]["tile_height"]
    rows = picture.reshape(-1, height, 3, width, *picture.shape[2:])
    return rows.swapaxes(1, 2)


def attack_again(evaluated: EvaluationTarget, index: int) -> tuple[Tensor, Tensor]:
    """Return an image and its adversarial image, attacked within its batch."""
    start = index // evaluated.batch_size * evaluated.batch_size
    end = min(start + evaluated.batch_size, len(evaluated.images))
    images_BCHW, labels_B = evaluated.images.batch(torch.arange(start, end))
    adversarial_BCHW = pgd20_images(
        evaluated.network, evaluated, images_BCHW, labels_B, end, "examples"
    )
    return images_BCHW[index - start], adversarial_BCHW[index - start]


def test_the_picture_shows_what_was_attacked() -> None:
    evaluated = digit_target()
    data = data_of(evaluated)
    assert (data["picture"]["tile_width"], data["picture"]["tile_height"]) == (8, 8)
    assert len(tiles(data)) == len(data["examples"]) == 16
    for example, (clean, change, adversarial) in zip(data["examples"], tiles(data), strict=True):
        clean_CHW, adversarial_CHW = attack_again(evaluated, example["index"])
        assert np.abs(clean - 255 * clean_CHW[0].numpy()).max() < 0.501
        assert np.abs(adversarial - 255 * adversarial_CHW[0].numpy()).max() < 0.501
        changed = RADIUS * (change.astype(float) / 127.5 - 1)
        assert np.abs(changed - (adversarial_CHW - clean_CHW)[0].numpy()).max() < 0.003


def test_predictions_are_those_of_both_networks() -> None:
    evaluated = digit_target()
    networks: dict[str, Classifier | None] = {
        "network": evaluated.network,
        "reference": evaluated.reference,
    }
    for example in data_of(evaluated)["examples"]:
        clean_CHW, adversarial_CHW = attack_again(evaluated, example["index"])
        assert example["label"] == int(evaluated.images.labels_N[example["index"]])
        for name, network in networks.items():
            assert network is not None
            for kind, image_CHW in (("clean", clean_CHW), ("attacked", adversarial_CHW)):
                probabilities_K = network(image_CHW[None]).softmax(dim=1)[0].detach()
                entry = example[name][kind]
                assert entry["prediction"] == int(probabilities_K.argmax())
                probability = float(probabilities_K.max())
                assert entry["probability"] == pytest.approx(probability, abs=1e-4)
                label_probability = float(probabilities_K[example["label"]])
                assert entry["label_probability"] == pytest.approx(label_probability, abs=1e-4)


def test_outcomes_count_all_images() -> None:
    """They agree with the accuracies of both networks on the same adversarial images."""
    evaluated = digit_target()
    data = data_of(evaluated)
    counts = data["outcomes"]
    assert list(counts) == ["both_hold", "network_falls", "reference_falls", "both_fall"]
    assert sum(counts.values()) == data["images"] == 60
    holds = {"network": 0, "reference": 0}
    for index in range(60):
        _, adversarial_CHW = attack_again(evaluated, index)
        label = int(evaluated.images.labels_N[index])
        for name in holds:
            network: Classifier = getattr(evaluated, name)
            holds[name] += int(network(adversarial_CHW[None]).argmax() == label)
    assert counts["both_hold"] + counts["reference_falls"] == holds["network"]
    assert counts["both_hold"] + counts["network_falls"] == holds["reference"]
    for example in data["examples"]:
        label = example["label"]
        bits = {
            name: "1" if example[name]["attacked"]["prediction"] == label else "0" for name in holds
        }
        assert example["outcome"] == outcome(bits, 0)


def test_without_a_reference_there_are_two_outcomes() -> None:
    data = data_of(digit_target(reference=None))
    assert list(data["outcomes"]) == ["network_holds", "network_falls"]
    assert {example["outcome"] for example in data["examples"]} == set(data["outcomes"])
    assert all("reference" not in example for example in data["examples"])


def test_outcomes_and_classes_take_turns() -> None:
    outcomes = ["both_hold"] * 6 + ["network_falls"] * 4
    labels = [0, 0, 0, 1, 1, 2, 5, 5, 5, 6]
    assert select(outcomes, labels, 7) == [6, 0, 9, 3, 7, 5, 8]
    assert sorted(select(outcomes, labels, 99)) == list(range(10))


def test_large_images_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PICTURE_BYTES", 3 * 64 * 5 + 1)
    assert len(data_of(digit_target())["examples"]) == 5


def test_color_images_keep_their_colors() -> None:
    pixels = torch.tensor([[200, 30, 90], [10, 220, 40]], dtype=torch.uint8)[:, :, None, None]
    images = Images(pixels, torch.tensor([0, 1]))
    evaluated = target(BrightestChannel(channels=3), images, classes=3, radius=0.1)
    data = data_of(evaluated)
    for example, (clean, *_) in zip(data["examples"], tiles(data), strict=True):
        assert clean.reshape(3).tolist() == pixels[example["index"]].flatten().tolist()


def test_probabilities_that_are_not_finite_are_null() -> None:
    assert prediction(torch.tensor([0.5, torch.nan]), 0) == {
        "prediction": None,
        "probability": None,
        "label_probability": None,
    }


def test_a_radius_of_zero_changes_nothing() -> None:
    data = data_of(digit_target(radius=0.0), count=3)
    for clean, change, adversarial in tiles(data):
        assert set(change.flatten().tolist()) == {128}
        assert np.array_equal(clean, adversarial)
