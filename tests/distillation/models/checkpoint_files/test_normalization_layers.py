"""A file's own mean and standard deviation against the network's normalization."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from core.distillation.models import build
from core.distillation.models.checkpoint_files.normalization_layers import choose_normalization
from core.distillation.models.importers import load
from core.distillation.models.normalization import MEAN_AND_STD, InputNormalization
from core.jobspec.network import AssumedNormalization, Normalization

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2471, 0.2435, 0.2616)
ASSUMED = AssumedNormalization("none", "it is the default of small_cnn", is_guess=False)
GUESSED = AssumedNormalization("cifar10", "it is the default of vit_b", is_guess=True)

CONSTANTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0, 0, 0), (1, 1, 1)),
    "cifar10": (MEAN, STD),
    "cifar10_robustness": (MEAN, (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""As DeepMind's networks, the robustness library, torchvision and timm publish them."""


def buffers(mean: Any, std: Any) -> dict[str, Tensor]:
    return {"mean": torch.tensor(mean), "std": torch.tensor(std)}


def test_constants_of_every_normalization_are_the_published_ones() -> None:
    assert set(CONSTANTS) == set(get_args(Normalization)) == set(MEAN_AND_STD)
    images = torch.full((1, 3, 1, 1), 0.75)
    for name in get_args(Normalization):
        mean, std = CONSTANTS[name]
        normalized = InputNormalization(name, 3)(images).flatten().tolist()
        expected = [(0.75 - m) / s for m, s in zip(mean, std, strict=True)]
        assert normalized == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", CONSTANTS)
def test_files_constants_decide_where_nobody_chose(name: Normalization) -> None:
    result = choose_normalization("none", 3, buffers(*CONSTANTS[name]), ASSUMED)
    assert result.name == name
    assert f"mean and std of {name!r}" in result.sentence
    assert len(result.remarks) == (0 if name == "none" else 1)


@pytest.mark.parametrize("name", CONSTANTS)
def test_equal_constants_need_no_remark(name: Normalization) -> None:
    result = choose_normalization(name, 3, buffers(*CONSTANTS[name]), None)
    assert (result.name, result.remarks) == (name, [])
    assert result.sentence.startswith(f"The file has the mean and std of {name!r}, the network's: ")


def test_other_constants_than_those_chosen_are_remarks() -> None:
    result = choose_normalization("cifar10", 3, buffers(*CONSTANTS["cifar100"]), None)
    assert result.name == "cifar10"
    assert result.sentence == (
        "The network normalizes by 'cifar10'; the file's own mean and std are others."
    )
    assert result.remarks == [
        "The file has its own normalization, mean = 0.5071, 0.4865, 0.4409, which is not that of "
        "'cifar10', 0.4914, 0.4822, 0.4465: if the accuracy is too low, import it with "
        "normalization 'cifar100', which it is.",
        "The file has its own normalization, std = 0.2673, 0.2564, 0.2762, which is not that of "
        "'cifar10', 0.2471, 0.2435, 0.2616: if the accuracy is too low, import it with "
        "normalization 'cifar100', which it is.",
    ]


@pytest.mark.parametrize("assumed", [None, ASSUMED])
def test_unknown_constants_are_remarks(assumed: AssumedNormalization | None) -> None:
    result = choose_normalization("cifar10", 3, buffers(MEAN, (0.3, 0.3, 0.3)), assumed)
    assert result.name == "cifar10"
    assert result.remarks == [
        "The file has its own normalization, std = 0.3000, 0.3000, 0.3000, which is not that of "
        "'cifar10', 0.2471, 0.2435, 0.2616: if the accuracy is too low, import it with another "
        "normalization."
    ]


@pytest.mark.parametrize(
    ("shift", "is_equal"), [(0.0009, True), (-0.0009, True), (0.0011, False), (-0.0011, False)]
)
@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_constant_is_compared_to_three_digits(
    channel: int, constant: int, shift: float, is_equal: bool
) -> None:
    constants = [list(MEAN), list(STD)]
    constants[constant][channel] += shift
    result = choose_normalization("cifar10", 3, buffers(*constants), None)
    assert (result.remarks == []) == is_equal


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1, 1), (1, 3, 1, 1)])
def test_constants_have_any_of_the_usual_shapes(shape: tuple[int, ...]) -> None:
    constants = {key: value.view(shape) for key, value in buffers(MEAN, STD).items()}
    assert choose_normalization("none", 3, constants, ASSUMED).name == "cifar10"


def test_one_constant_is_for_all_channels() -> None:
    assert choose_normalization("none", 3, buffers([0.5], 0.5), ASSUMED).name == "inception"
    assert choose_normalization("none", 1, buffers([0.5], 0.5), ASSUMED).name == "none"
    assert choose_normalization("none", 1, buffers(0.0, 1.0), None).remarks == []


@pytest.mark.parametrize("count", [2, 4, 6, 3072])
def test_other_numbers_of_constants_never_agree(count: int) -> None:
    values = (MEAN * 1024)[:count]
    result = choose_normalization("cifar10", 3, {"mean": torch.tensor(values)}, None)
    assert len(result.remarks) == 1


def test_constants_for_pixels_to_255_are_scaled() -> None:
    constants = buffers([125.307, 122.961, 113.8575], [63.0105, 62.0925, 66.708])
    result = choose_normalization("none", 3, constants, ASSUMED)
    assert result.name == "cifar10"
    assert "mean = 0.4914, 0.4822, 0.4465" in result.sentence


def test_numbers_that_are_not_finite_agree_with_nothing() -> None:
    constants = buffers([float("nan")] * 3, [float("inf")] * 3)
    assert len(choose_normalization("none", 3, constants, None).remarks) == 2


def test_equal_constants_are_compared_once() -> None:
    pair = buffers(*CONSTANTS["cifar100"])
    copies = {f"{name}.{key}": value for name in ("a", "b") for key, value in pair.items()}
    assert len(choose_normalization("cifar10", 3, copies, None).remarks) == 2
    half = {"a.mean": torch.tensor([0.5]), "a.std": torch.tensor([0.5])}
    assert choose_normalization("none", 3, half, ASSUMED).name == "inception"


def test_mean_or_std_alone_is_compared() -> None:
    assert choose_normalization("none", 3, {"std": torch.tensor(STD)}, ASSUMED).name == "cifar10"
    assert len(choose_normalization("none", 3, {"mu": torch.tensor(MEAN)}, None).remarks) == 1


def test_sentences_without_constants_say_why() -> None:
    assert choose_normalization("imagenet", 3, {}, None).sentence == (
        "The network normalizes by 'imagenet', as asked; the file has no mean and std."
    )
    result = choose_normalization("none", 3, {}, ASSUMED)
    assert (result.name, result.remarks) == ("none", [])
    assert result.sentence == (
        "The file has no mean and std: 'none' was assumed, because it is the default of small_cnn."
    )


def test_a_guess_is_a_question() -> None:
    result = choose_normalization("cifar10", 3, {}, GUESSED)
    assert result.remarks == [
        "The file has no mean and std: 'cifar10' was assumed, because it is the default of vit_b. "
        "By which was it trained? If not by 'cifar10', import it again and name the normalization, "
        "one of none, cifar10, cifar10_robustness, cifar100, imagenet, inception."
    ]


# -- in files


BESIDE: dict[str, dict[str, Any]] = {
    "tensors": {"mean": torch.tensor(MEAN), "std": torch.tensor(STD).view(1, 3, 1, 1)},
    "lists": {"mean": list(MEAN), "std": STD},
    "a dict": {"normalize": {"mean": list(MEAN), "std": torch.tensor(STD)}},
    "for pixels to 255": {"mu": [125.307, 122.961, 113.8575], "sigma": [63.0105, 62.0925, 66.708]},
}


@pytest.mark.parametrize("case", BESIDE)
def test_constants_beside_the_state_dict_are_read(case: str, save: Callable[..., Path]) -> None:
    network = build("small_cnn", 10, width=4)
    path = save({"net": network.state_dict(), "acc": 93.1, **BESIDE[case]})
    report = load(network, path, normalization_assumed=ASSUMED)
    assert network.normalize.name == "cifar10"
    assert len(report.dropped) == 2
    image = torch.full((1, 3, 1, 1), 0.5)
    assert network.normalize(image)[0, 0, 0, 0].item() == pytest.approx(0.0086 / 0.2471)


NO_CONSTANTS: dict[str, dict[str, Any]] = {
    "a mean accuracy": {"mean": 0.93, "std": 0.01},
    "two numbers": {"mean": [0.1, 0.2]},
    "four numbers": {"mean": torch.zeros(4)},
    "names": {"mean": ["a", "b", "c"]},
    "numbers above 255": {"mean": [1.0, 2.0, 256.0]},
    "flags": {"std": [True, True, False]},
    "another name": {"running_mean": torch.zeros(3)},
}


@pytest.mark.parametrize("case", NO_CONSTANTS)
def test_other_values_beside_a_state_dict_are_not(case: str, save: Callable[..., Path]) -> None:
    network = build("small_cnn", 10, width=4)
    report = load(network, save({"net": network.state_dict(), **NO_CONSTANTS[case]}))
    assert (report.dropped, report.remarks) == ([], [])


def test_state_dicts_own_constants_take_precedence(save: Callable[..., Path]) -> None:
    network = build("small_cnn", 10, width=4)
    state = {**network.state_dict(), **buffers(*CONSTANTS["imagenet"])}
    report = load(network, save({"net": state, **BESIDE["lists"]}), normalization_assumed=ASSUMED)
    # The constants beside the state dict have the same keys.
    assert (network.normalize.name, report.dropped) == ("imagenet", ["mean", "std"])


def test_a_chosen_normalization_is_not_changed(save: Callable[..., Path]) -> None:
    network = build("small_cnn", 10, width=4, normalization="cifar100")
    report = load(network, save({"net": network.state_dict(), **BESIDE["lists"]}))
    assert (network.normalize.name, len(report.remarks)) == ("cifar100", 2)
