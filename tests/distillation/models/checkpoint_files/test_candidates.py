"""Files with several sets of weights: which is loaded, which others the report names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distillation.models import build
from core.distillation.models.importers import ImportReport, load
from core.errors import Refused

Weights = dict[str, Tensor]
Save = Callable[..., Path]


def weights(value: float, *, width: int = 4) -> Weights:
    """Weights of a small network, all of which are ``value``."""
    state = build("small_cnn", 10, width=width).state_dict()
    return {key: torch.full_like(tensor, value) for key, tensor in state.items()}


def prefixed(prefix: str, state: Weights) -> Weights:
    return {prefix + key: tensor for key, tensor in state.items()}


def load_value(path: Path, state_dict: str | None = None) -> tuple[float, ImportReport]:
    """Return the number that all weights loaded have, and the report."""
    network = build("small_cnn", 10, width=4)
    report = load(network, path, state_dict=state_dict)
    (value,) = set(network.state_dict()["linear.weight"].flatten().tolist())
    return value, report


PAIRS: dict[str, tuple[dict[str, Any], str, str]] = {
    "state_dict": (
        {"state_dict_ema": weights(2), "state_dict": weights(1)},
        "state_dict",
        "state_dict_ema",
    ),
    "model": ({"model_ema": weights(2), "model": weights(1)}, "model", "model_ema"),
    "model_state_dict": (
        {"ema_model_state_dict": weights(2), "model_state_dict": weights(1), "epoch": 3},
        "model_state_dict",
        "ema_model_state_dict",
    ),
    "best": ({"last": weights(2), "best": weights(1)}, "best", "last"),
    "net": ({"ema": weights(2), "net": weights(1)}, "net", "ema"),
    "student": ({"teacher": weights(2), "student": weights(1)}, "student", "teacher"),
    "final": ({"init": weights(2), "final": weights(1)}, "final", "init"),
    "camel case": ({"modelEMA": weights(2), "weights": weights(1)}, "weights", "modelEMA"),
    "camel case first": ({"EMAModel": weights(2), "weights": weights(1)}, "weights", "EMAModel"),
    "polyak": ({"polyak": weights(2), "weights": weights(1)}, "weights", "polyak"),
    "slow": ({"slow_net": weights(2), "fast_net": weights(1)}, "fast_net", "slow_net"),
    "previous": ({"prev_model": weights(2), "new": weights(1)}, "new", "prev_model"),
    "integers": (
        {"state_dict": {k: v.int() for k, v in weights(2).items()}, "weights": weights(1)},
        "weights",
        "state_dict",
    ),
    "swa": ({"swa_state_dict": weights(2), "other": weights(1)}, "other", "swa_state_dict"),
    "two deep": (
        {"last": {"state_dict": weights(2)}, "best": {"state_dict": weights(1), "epoch": 7}},
        "best.state_dict",
        "last.state_dict",
    ),
    "in a list": ({"models": [weights(1), weights(2)]}, "models.0", "models.1"),
    "the outermost": ({**weights(1), "ema": weights(2)}, ".", "ema"),
    "of usual names the more usual": (
        {"model": weights(2), "state_dict": weights(1)},
        "state_dict",
        "model",
    ),
    "an outer before an inner one": (
        {"run": {"model": weights(2)}, "model": weights(1)},
        "model",
        "run.model",
    ),
    "with prefixes": (
        {**prefixed("teacher.", weights(2)), **prefixed("student.", weights(1))},
        "student",
        "teacher",
    ),
    "with and without a prefix": (
        {**prefixed("ema.", weights(2)), **weights(1)},
        ".",
        "ema",
    ),
}
"""By case: the file, the name of what is loaded by default (all weights 1), and of the other
(2)."""


@pytest.mark.parametrize("case", PAIRS)
def test_usual_weights_are_loaded_and_others_named(case: str, save: Save) -> None:
    tree, loaded, other = PAIRS[case]
    value, report = load_value(save(tree))
    assert value == 1
    assert (report.state_dict or ".", report.other_state_dicts) == (loaded, [other])
    assert len(report.remarks) == 1
    assert "The setting state_dict chooses another." in report.remarks[0]


@pytest.mark.parametrize("case", [case for case in PAIRS if case != "integers"])
def test_setting_chooses_another_state_dict(case: str, save: Save) -> None:
    tree, loaded, other = PAIRS[case]
    value, report = load_value(save(tree), other)
    assert value == 2
    assert (report.state_dict or ".", report.other_state_dicts) == (other, [loaded])
    assert load_value(save(tree), loaded)[0] == 1


@pytest.mark.parametrize("name", ["best", "best.state_dict"])
def test_a_part_of_a_name_is_enough(name: str, save: Save) -> None:
    tree = PAIRS["two deep"][0]
    assert load_value(save(tree), name)[0] == 1
    assert load_value(save(tree), "last")[0] == 2


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema", "ema", "shadow", "weights"])
def test_a_lone_state_dict_of_any_name_loads(name: str, save: Save) -> None:
    value, report = load_value(save({name: weights(1), "epoch": 3, "optimizer": {"state": {}}}))
    assert (value, report.state_dict, report.other_state_dicts) == (1, name, [])
    assert report.remarks == []


def test_an_optimizers_tensors_are_no_state_dict(save: Save) -> None:
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    path = save({"optimizer": optimizer.state_dict(), "rng": torch.zeros(3), "net": weights(1)})
    assert load_value(path)[1].other_state_dicts == []


def test_weights_that_fit_go_before_usual_names(save: Save) -> None:
    """The teacher's are of another width."""
    value, report = load_value(save({"state_dict": weights(2, width=8), "teacher": weights(1)}))
    assert (value, report.state_dict, report.other_state_dicts) == (1, "teacher", ["state_dict"])


def test_the_same_dict_under_two_names_has_both(save: Save) -> None:
    state = weights(1)
    report = load_value(save({"state_dict": state, "state_dict_ema": state}))[1]
    assert (report.state_dict, report.other_state_dicts) == ("state_dict", ["state_dict_ema"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swa", "The file has no state dict 'swa'; it has 'best.state_dict', 'last.state_dict'."),
        (
            "state_dict",
            "The file has more than one state dict 'state_dict'; it has 'best.state_dict', "
            "'last.state_dict'.",
        ),
        ("est", "The file has no state dict 'est'; it has 'best.state_dict', 'last.state_dict'."),
    ],
)
def test_unknown_and_ambiguous_names_are_refused(name: str, message: str, save: Save) -> None:
    with pytest.raises(Refused) as caught:
        load_value(save(PAIRS["two deep"][0]), name)
    assert (caught.value.code, caught.value.message) == ("unknown_state_dict", message)


def test_ten_of_many_names_are_listed(save: Save) -> None:
    tree = {f"epoch_{index:02}": weights(1) for index in range(12)}
    with pytest.raises(Refused) as caught:
        load_value(save(tree), "best")
    assert caught.value.message.endswith("'epoch_09' and 2 more.")
    with pytest.raises(Refused, match=r"it has '\.'; '\.' is the outermost\."):
        load_value(save(weights(1)), "best")


def test_chosen_weights_that_do_not_fit_are_refused(save: Save) -> None:
    tree = {"state_dict": weights(1), "teacher": weights(2, width=8)}
    with pytest.raises(Refused, match="looks like small_cnn of width 8") as caught:
        load_value(save(tree), "teacher")
    assert caught.value.code == "misshaped_keys"


def test_an_equal_copy_is_dropped_and_named(save: Save) -> None:
    """As the robustness library saves a network: once more inside of its attacker."""
    state = {
        **prefixed("module.model.", weights(1)),
        **prefixed("module.attacker.model.", weights(1)),
    }
    value, report = load_value(save({"model": state, "epoch": 90}))
    assert (value, report.state_dict) == (1, "model.module.model")
    assert report.other_state_dicts == ["model.module.attacker.model"]
    assert sorted(report.dropped) == sorted(prefixed("module.attacker.model.", weights(1)))
    assert report.renamed == {f"module.model.{key}": key for key in weights(1)}
    assert report.remarks == [
        "The copy of the network with the prefix 'module.attacker.model.' was dropped: it equals "
        "the weights loaded."
    ]


def test_a_copy_that_differs_is_a_warning(save: Save) -> None:
    copy = weights(1)
    copy["bn2.bias"][3] = 5
    report = load_value(save({**weights(1), **prefixed("attacker.", copy)}))[1]
    assert report.remarks == [
        "The copy of the network with the prefix 'attacker.' was dropped: it differs from the "
        "weights loaded, in bn2.bias. The setting state_dict chooses another."
    ]


def test_state_dict_with_copies_can_be_named_as_one(save: Save) -> None:
    tree = {
        "net": {**prefixed("student.", weights(1)), **prefixed("teacher.", weights(2))},
        "net_ema": {**prefixed("student.", weights(3)), **prefixed("teacher.", weights(4))},
    }
    assert [load_value(save(tree), name)[0] for name in ("net", "net_ema", "net.teacher")] == [
        1,
        3,
        2,
    ]
    report = load_value(save(tree))[1]
    assert sorted(report.other_state_dicts) == ["net.teacher", "net_ema.student", "net_ema.teacher"]


def refusal(tree: Any, save: Save, classes: int = 10) -> Refused:
    with pytest.raises(Refused) as caught:
        load(build("small_cnn", classes, width=4), save(tree))
    return caught.value


def test_refusal_is_about_the_network_not_a_loss(save: Save) -> None:
    tree = {"criterion": {"weight": torch.ones(10)}, "backbone": weights(1)}
    assert refusal(tree, save, classes=5).message == (
        "The file looks like small_cnn of width 4 for 10 classes, not like small_cnn of width 4 "
        "for 5 classes: import it with classes 10. For example, linear.weight (10x16 in the file, "
        "5x16 needed). This is about the state dict 'backbone'; the setting state_dict chooses "
        "another: 'criterion'."
    )


def test_refusal_of_an_unknown_network_is_about_it(save: Save) -> None:
    """Neither has a key of the network; the second has more keys."""
    tree = {
        "loss": {"weight": torch.ones(10)},
        "net": {"a.weight": torch.ones(3), "b.weight": torch.ones(3)},
    }
    assert refusal(tree, save).message.endswith(
        "This is about the state dict 'net'; the setting state_dict chooses another: 'loss'."
    )


def test_refused_numbers_name_the_state_dict(save: Save) -> None:
    bad = weights(1)
    bad["bn1.bias"][2] = float("nan")
    error = refusal({"model": bad, "model_ema": weights(2)}, save)
    assert (error.code, error.message) == (
        "non_finite_weights",
        "Not all numbers are finite in bn1.bias. This is about the state dict 'model'; the "
        "setting state_dict chooses another: 'model_ema'.",
    )


def test_only_100_state_dicts_are_read_and_it_is_said(save: Save) -> None:
    limit = "Only the first 100 state dicts of the file are read; it has more."
    tree = {f"epoch_{index:03}": weights(1) for index in range(101)}
    report = load_value(save(tree))[1]
    assert len(report.other_state_dicts) == 99
    assert report.remarks[1:] == [limit]
    with pytest.raises(Refused) as caught:
        load_value(save(tree), "epoch_100")
    assert caught.value.message.endswith(f"and 90 more. {limit}")
    del tree["epoch_100"]
    assert len(load_value(save(tree))[1].remarks) == 1


def test_only_100_of_many_copies_can_be_chosen(save: Save) -> None:
    tree = {
        f"a{index:03}.{key}": value for index in range(190) for key, value in weights(1).items()
    }
    value, report = load_value(save(tree))
    assert (value, report.state_dict, len(report.other_state_dicts)) == (1, "a000", 99)
    assert len(report.dropped) == 189 * len(weights(1))
    assert report.remarks[-1] == "179 more copies of the network were dropped."
    assert len(report.remarks) == 11


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [
        ({"num_updates": 3, "decay": 0.99}, "module."),
        ({"initted": True, "step": 3}, "online_model."),
        ({"epoch": 3.0}, ""),
        ({"a.step": 3}, "a.b."),
    ],
)
def test_single_numbers_of_a_wrapper_are_dropped(
    wrapper: dict[str, Any], prefix: str, save: Save
) -> None:
    numbers = {key: torch.tensor(value) for key, value in wrapper.items()}
    value, report = load_value(save({**numbers, **prefixed(prefix, weights(1))}))
    assert (value, report.dropped) == (1, sorted(wrapper))
    names = ", ".join(sorted(wrapper))
    assert report.remarks == [
        f"These single numbers are not the network's and were dropped: {names}."
    ]


@pytest.mark.parametrize(
    "key", ["temperature", "logit_scale", "conv1.alpha", "act.weight", "scale", "fc.count"]
)
def test_numbers_a_network_may_compute_with_are_unexpected(key: str, save: Save) -> None:
    error = refusal({**weights(1), key: torch.tensor(2.0)}, save)
    assert (error.code, error.message) == (
        "unexpected_keys",
        f"The network has no place for {key}.",
    )


def test_a_number_with_a_dimension_is_unexpected(save: Save) -> None:
    assert refusal({**weights(1), "step": torch.ones(1)}, save).code == "unexpected_keys"
