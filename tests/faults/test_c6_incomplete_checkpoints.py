"""C6: a checkpoint without any one of its keys is refused, or what comes of it differs from what an undisturbed job gives."""

import json
import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from core import figures
from core.errors import JobFailed
from core.job_folder import JobFolder, Measured
from tests.distillation.folders import (
    StopAfter,
    assert_same_results,
    create_job_folder,
    distillation_spec,
    newest_checkpoint,
    run_job,
)
from tests.measurements import RecordProperty, record_figure

Key = str | int
SPEC: dict[str, Any] = {
    "averaging": {"name": "ema", "decay": 0.9},
    "evaluation": {"attacks": [{"name": "pgd", "steps": 2}], "limit": 40, "batch_size": 20},
}
STOPS = {"inside an epoch": 7, "inside evaluation": 13}
"""How often it is asked whether to stop: what it has said by then is in the checkpoint."""
WRONG: tuple[Any, ...] = ("text", None, True, [], {}, math.nan, math.inf, 1.5)
LEGAL: list[tuple[str, Any]] = [
    ("history", []),
    ("sums", {}),
    ("measured", {}),
    ("measuring", None),
]
"""Values that the fields do have at a job's beginning."""


class Checkpoint:
    """The newest of a stopped job, taken apart: ``header`` with its three JSON texts read, and ``tensors``."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            self.header: dict[str, Any] = dict(file.metadata())
            self.tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        self.state = json.loads(self.header["state"])

    def write(self, path: Path, state: Any = None, without: str = "") -> None:
        header = {**self.header, "state": json.dumps(self.state if state is None else state)}
        kept = [
            {key: it for key, it in part.items() if key != without}
            for part in (self.tensors, header)
        ]
        save_file(kept[0], path, kept[1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    torch.set_num_threads(1)
    folder = create_job_folder(
        tmp_path_factory.mktemp("undisturbed") / "job", distillation_spec(**SPEC)
    )
    assert run_job(folder).outcome == "succeeded"
    return folder


@pytest.fixture(
    scope="module", params=STOPS.values(), ids=[where.replace(" ", "_") for where in STOPS]
)
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoint:
    torch.set_num_threads(1)
    folder = create_job_folder(
        tmp_path_factory.mktemp("stopped") / "job", distillation_spec(**SPEC)
    )
    assert run_job(folder, StopAfter(request.param)).outcome == "stopped"
    return Checkpoint(newest_checkpoint(folder))


@pytest.fixture(autouse=True)
def _nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of so small a job; a figure shows nothing that the report does not have."""
    monkeypatch.setattr(figures, "draw_figures", lambda *_: {})


@pytest.fixture
def second(tmp_path: Path) -> JobFolder:
    """The folder of the attempt that is to go on from the checkpoint."""
    return create_job_folder(tmp_path / "second", distillation_spec(**SPEC))


def is_refused(folder: JobFolder) -> bool:
    """Before anything is trained or measured, as a fault of the machinery and with a sentence."""
    try:
        run_job(folder, StopAfter(0))
    except JobFailed as error:
        return error.failure_class == "infrastructure" and error.code in {
            "incomplete_checkpoint",
            "foreign_checkpoint",
        }
    return False


def gone_on(path: Path, written: bytes) -> JobFolder:
    """The folder of a job that went on from it to the end."""
    folder = create_job_folder(path, distillation_spec(**SPEC))
    folder.checkpoint.write_bytes(written)
    assert run_job(folder).outcome == "succeeded"
    return folder


def measured(folder: JobFolder) -> list[Measured]:
    """What the attempt has measured itself, but for how long things took."""
    return [
        it
        for it in folder.read_events()[0]
        if isinstance(it, Measured) and "seconds" not in it.name
    ]


def is_noticed(
    undisturbed: JobFolder, expected: list[Measured], path: Path, written: bytes
) -> bool:
    """Whether a job that goes on from it fails, ends otherwise than the undisturbed one, or measures again what it had."""
    try:
        folder = gone_on(path, written)
        assert_same_results(undisturbed, folder)
    except (AssertionError, JobFailed, KeyError, ValueError):
        return True
    return measured(folder) != expected


def keys_of(value: Any, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """The path of every key of every object in it, and of every entry of a list of objects."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from keys_of(inner, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield (*path, index)
            yield from keys_of(inner, (*path, index))


def without(value: Any, path: tuple[Key, ...]) -> Any:
    found = inner = deepcopy(value)
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return found


def test_c6_the_checkpoint_as_it_is_goes_on_to_the_same_bits(
    undisturbed: JobFolder, checkpoint: Checkpoint, second: JobFolder, tmp_path: Path
) -> None:
    """What the other tests stand on: it is neither refused nor noticed."""
    checkpoint.write(second.checkpoint)
    assert not is_refused(second)
    third = gone_on(tmp_path / "third", second.checkpoint.read_bytes())
    assert not is_noticed(
        undisturbed, measured(third), tmp_path / "fourth", second.checkpoint.read_bytes()
    )


def test_c6_without_any_one_tensor_or_entry_of_the_header_it_is_refused(
    checkpoint: Checkpoint, second: JobFolder, record_property: RecordProperty
) -> None:
    dropped = [*checkpoint.tensors, *checkpoint.header]
    assert {key.split(".")[0] for key in checkpoint.tensors} == {
        "student",
        "heads",
        "best",
        "average",
        "momentum",
    }
    for key in dropped:
        checkpoint.write(second.checkpoint, without=key)
        assert is_refused(second), key
    record_figure(
        record_property,
        "tensors and entries of the header refused",
        f"{len(dropped)} of {len(dropped)}",
        "100 %",
    )


def test_c6_without_any_one_key_of_the_state_it_is_refused_or_noticed(
    undisturbed: JobFolder,
    checkpoint: Checkpoint,
    second: JobFolder,
    tmp_path: Path,
    record_property: RecordProperty,
) -> None:
    dropped, refused = list(keys_of(checkpoint.state)), 0
    checkpoint.write(second.checkpoint)
    expected = measured(gone_on(tmp_path / "whole", second.checkpoint.read_bytes()))
    for number, path in enumerate(dropped):
        checkpoint.write(second.checkpoint, without(checkpoint.state, path))
        if is_refused(second):
            refused += 1
        else:
            assert len(path) > 1, f"{path}: a field of the state itself"
            assert is_noticed(
                undisturbed, expected, tmp_path / str(number), second.checkpoint.read_bytes()
            ), path
    record_figure(record_property, "keys of the state refused", f"{refused} of {len(dropped)}")
    record_figure(
        record_property,
        "keys of the state noticed",
        f"{len(dropped) - refused} of the rest",
        "100 %",
    )


def test_c6_with_a_value_of_another_type_or_one_that_is_not_finite_it_is_refused(
    checkpoint: Checkpoint, second: JobFolder
) -> None:
    changes = [
        (field, wrong)
        for field in checkpoint.state
        for wrong in WRONG
        if (field, wrong) not in LEGAL
    ]
    changes += [
        ("unknown", 1),
        ("seconds", {"preparing": math.nan}),
        ("best_score", [math.inf, 0.5]),
        ("history", [{"epoch": "1"}]),
    ]
    for field, wrong in changes:
        checkpoint.write(second.checkpoint, {**checkpoint.state, field: wrong})
        assert is_refused(second), f"{field} = {wrong!r}"
