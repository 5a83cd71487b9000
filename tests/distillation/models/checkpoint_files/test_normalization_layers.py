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


def test_a_mean_of_two_normalizations_is_not_adopted() -> None:
    result = choose_normalization("none", 3, {"0.mean": torch.tensor(MEAN)}, ASSUMED)
    assert result.name == "none"
    assert result.sentence == ("The network normalizes by 'none'; the file's own mean is another.")
    assert result.remarks == [
        "The file has its own normalization, 0.mean = 0.4914, 0.4822, 0.4465, which is not that of "
        "'none', 0.0000: if the accuracy is too low, import it with normalization 'cifar10' or "
        "'cifar10_robustness', which it may be."
    ]


def test_sentence_names_only_what_the_file_has() -> None:
    mean = choose_normalization("imagenet", 3, {"mu": torch.tensor([0.485, 0.456, 0.406])}, None)
    assert mean.sentence == (
        "The file has the mean of 'imagenet', the network's: mu = 0.4850, 0.4560, 0.4060."
    )
    std = choose_normalization("none", 3, {"std": torch.tensor(STD)}, ASSUMED)
    assert std.sentence.startswith("The file has the std of 'cifar10', std = 0.2471, 0.2435")


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        *(("means", "sds"), ("mean_rgb", "std_rgb"), ("MEAN", "STD"), ("normMean", "normStd")),
        *(("mean_vec", "std_dev"), ("mean_per_channel", "standard_deviation")),
    ],
)
def test_constants_have_any_usual_name(mean: str, std: str) -> None:
    constants = {f"normalize.{mean}": torch.tensor(MEAN), f"normalize.{std}": torch.tensor(STD)}
    assert choose_normalization("none", 3, constants, ASSUMED).name == "cifar10"


@pytest.mark.parametrize(("scale", "name"), [(1, "cifar10"), (255, "cifar10"), (1.1, "none")])
def test_a_variance_is_a_deviation_squared(scale: float, name: str) -> None:
    """0.2471 ** 2 = 0.0611, 0.2435 ** 2 = 0.0593, 0.2616 ** 2 = 0.0684."""
    mean = torch.tensor(MEAN) * (255 if scale == 255 else 1)
    var = torch.tensor([0.0611, 0.0593, 0.0684]) * scale**2
    result = choose_normalization("none", 3, {"mean": mean, "var": var}, ASSUMED)
    assert result.name == name


@pytest.mark.parametrize("form", ["channels first", "channels last", "in a batch"])
def test_constants_for_every_pixel_are_those_of_channels(form: str) -> None:
    constants = {}
    for key, value in buffers(MEAN, STD).items():
        pixels = value.view(3, 1, 1).repeat(1, 4, 5)
        constants[key] = {
            "channels first": pixels,
            "channels last": pixels.movedim(0, -1),
            "in a batch": pixels[None],
        }[form]
    result = choose_normalization("none", 3, constants, ASSUMED)
    assert result.name == "cifar10"
    assert "mean = 0.4914, 0.4822, 0.4465, std = 0.2471, 0.2435, 0.2616" in result.sentence
    constants["std"] = constants["std"].contiguous()
    constants["std"].view(-1)[-1] += 0.1
    assert choose_normalization("none", 3, constants, ASSUMED).name == "none"


def test_whole_numbers_of_pixels_are_rounded() -> None:
    """0.4914, 0.4822, 0.4465 times 255 is 125.3, 123.0, 113.9."""
    constants = buffers([125, 123, 114], [63, 62, 67])
    assert choose_normalization("none", 3, constants, ASSUMED).name == "cifar10"
    assert choose_normalization(
        "none", 3, buffers([124, 123, 114], [63, 62, 67]), ASSUMED
    ).name == ("none")
    # 0.3 of 255 is more than the three digits to which a fraction is rounded.
    fractions = buffers([125.6, 123.0, 113.9], [63.0, 62.1, 66.7])
    assert choose_normalization("none", 3, fractions, ASSUMED).name == "none"


def test_other_numbers_are_counted_not_listed() -> None:
    remark = choose_normalization("none", 3, {"mean": torch.zeros(512)}, None).remarks[0]
    assert "mean = 0.0000, 0.0000, 0.0000, ... (512 numbers), which" in remark
    remark = choose_normalization("none", 3, {"mean": torch.zeros(0)}, None).remarks[0]
    assert "mean = no numbers, which" in remark


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
    "upper case": {"MEAN": list(MEAN), "STD": list(STD)},
    "nested lists": {"mean": [[[m]] for m in MEAN], "std": [[list(STD)]]},
    "whole numbers": {"mean": [125, 123, 114], "std": [63, 62, 67]},
    "for every pixel": {
        "mean": torch.tensor(MEAN).view(3, 1, 1).repeat(1, 2, 2),
        "std": torch.tensor(STD).view(3, 1, 1).repeat(1, 2, 2),
    },
    "a variance": {"cfg": {"image_mean": MEAN, "image_var": [0.0611, 0.0593, 0.0684]}},
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
    "a mean alone": {"mean": list(MEAN)},
    "unlike names": {"x_mean": list(MEAN), "y_std": list(STD)},
    "unlike dicts": {"a": {"mean": list(MEAN)}, "b": {"std": list(STD)}},
    "losses": {"loss_mean": [2.3, 1.2, 0.9], "loss_std": [0.1, 0.2, 0.1]},
    "a history": {"history": {"run": {"mean": [2.3, 1.2, 0.9], "std": [0.1, 0.2, 0.1]}}},
    "a shape": {"mean": torch.Size([1, 2, 3]), "std": torch.Size([1, 2, 3])},
    "too deep": {"mean": [[[[[0.5]]]]], "std": [[[[[0.5]]]]]},
    "another name": {"running_mean": torch.zeros(3)},
}


@pytest.mark.parametrize("case", NO_CONSTANTS)
def test_other_values_beside_a_state_dict_are_not(case: str, save: Callable[..., Path]) -> None:
    network = build("small_cnn", 10, width=4)
    report = load(network, save({"net": network.state_dict(), **NO_CONSTANTS[case]}))
    assert (report.dropped, report.remarks) == ([], [])


def test_single_numbers_count_where_they_are_of_images(save: Callable[..., Path]) -> None:
    for tree, name in (
        ({"mean": 0.5, "std": 0.5}, "inception"),
        ({"mean": 0.93, "std": 0.01}, "none"),
        ({"normalize": {"mean": 0.5, "std": 0.25}}, "none"),
    ):
        network = build("small_cnn", 10, width=4)
        report = load(
            network, save({"net": network.state_dict(), **tree}), normalization_assumed=ASSUMED
        )
        assert network.normalize.name == name
        assert report.normalization.startswith("The file has no mean") == (0.93 in tree.values())


def constants(name: str, kind: Callable[[Any], Any] = torch.tensor) -> dict[str, Any]:
    return {key: kind(value) for key, value in zip(("mean", "std"), CONSTANTS[name], strict=True)}


def copies_with_constants(case: str) -> dict[str, Any]:
    """A student's weights with CIFAR-10's constants, and a teacher's with ImageNet's."""
    student, teacher = (build("small_cnn", 10, width=4).state_dict() for _ in range(2))
    ours, theirs = constants("cifar10", list), constants("imagenet", list)
    if case == "beside each":
        return {"student": {"net": student, **ours}, "teacher": {"net": teacher, **theirs}}
    if case == "within each":
        return {
            "student": {**student, **constants("cifar10")},
            "teacher": {**teacher, **constants("imagenet")},
        }
    if case == "of one and of all":
        return {"student": student, **ours, "teacher": {"net": teacher, **theirs}}
    return {
        **{f"student.1.{key}": value for key, value in student.items()},
        **{f"student.0.{key}": value for key, value in constants("cifar10").items()},
        **{f"teacher.1.{key}": value for key, value in teacher.items()},
        **{f"teacher.0.{key}": value for key, value in constants("imagenet").items()},
    }


@pytest.mark.parametrize("case", ["beside each", "within each", "prefixes", "of one and of all"])
@pytest.mark.parametrize(("copy", "name"), [("student", "cifar10"), ("teacher", "imagenet")])
def test_chosen_copys_own_constants_decide(
    case: str, copy: str, name: str, save: Callable[..., Path]
) -> None:
    network = build("small_cnn", 10, width=4)
    path = save(copies_with_constants(case))
    report = load(network, path, state_dict=copy, normalization_assumed=ASSUMED)
    assert network.normalize.name == name
    assert f"mean and std of {name!r}" in report.normalization


@pytest.mark.parametrize("teacher", ["small_cnn", "resnet18"])
def test_constants_of_a_teacher_are_not_its_students(
    teacher: str, save: Callable[..., Path]
) -> None:
    network = build("small_cnn", 10, width=4)
    other = {"net": build(teacher, 10).state_dict(), **constants("cifar10", list)}
    path = save({"student": network.state_dict(), "teacher": other})
    report = load(network, path, normalization_assumed=ASSUMED)
    assert (network.normalize.name, report.state_dict) == ("none", "student")
    assert report.normalization.startswith("The file has no mean and std: 'none' was assumed")


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
