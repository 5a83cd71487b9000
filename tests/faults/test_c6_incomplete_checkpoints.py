"""C6: a checkpoint without any one of its keys is refused, or the result differs."""

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
from tests.faults.conftest import RecordFigure

Key = str | int
SPEC: dict[str, Any] = {
    "averaging": {"name": "ema", "decay": 0.9},
    "evaluation": {"attacks": [{"name": "pgd", "steps": 2}], "limit": 40, "batch_size": 20},
}
STOPS = {"inside an epoch": 7, "inside evaluation": 13}
"""After how many calls of ``stop`` the job stops. Its checkpoint has all that happened by then."""
WRONG_VALUES: tuple[Any, ...] = ("text", None, True, [], {}, math.nan, math.inf, 1.5)
INITIAL_VALUES: list[tuple[str, Any]] = [
    ("history", []),
    ("sums", {}),
    ("measured", {}),
    ("measuring", None),
    ("first_loss", None),
    ("first_loss", 1.5),
    ("warnings", []),
]
"""Those of the wrong values that some fields legally have when a job starts."""


class Checkpoint:
    """The newest checkpoint of a stopped job: its header, its parsed state and its tensors."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            self.header: dict[str, Any] = dict(file.metadata())
            self.tensors = {name: file.get_tensor(name) for name in names}
        self.state = json.loads(self.header["state"])

    def save(self, path: Path, state: Any = None, omitted: str = "") -> None:
        """Save it, perhaps with another state, or without one tensor or entry of the header."""
        header = {**self.header, "state": json.dumps(self.state if state is None else state)}
        header.pop(omitted, None)
        tensors = {name: tensor for name, tensor in self.tensors.items() if name != omitted}
        save_file(tensors, path, header)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("uninterrupted") / "job"
    folder = create_job_folder(path, distillation_spec(**SPEC))
    assert run_job(folder).outcome == "succeeded"
    return folder


@pytest.fixture(
    scope="module", params=STOPS.values(), ids=[name.replace(" ", "_") for name in STOPS]
)
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoint:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("stopped") / "job"
    folder = create_job_folder(path, distillation_spec(**SPEC))
    assert run_job(folder, StopAfter(request.param)).outcome == "stopped"
    return Checkpoint(newest_checkpoint(folder))


@pytest.fixture(autouse=True)
def _draw_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures would take most of the time, and show nothing that the report does not have."""
    monkeypatch.setattr(figures, "draw_figures", lambda *_: {})


@pytest.fixture
def second(tmp_path: Path) -> JobFolder:
    """The job folder of the attempt that resumes from the checkpoint."""
    return create_job_folder(tmp_path / "second", distillation_spec(**SPEC))


def is_refused(folder: JobFolder) -> bool:
    """Whether the checkpoint is refused as an infrastructure failure, before any training."""
    try:
        run_job(folder, StopAfter(0))
    except JobFailed as error:
        return error.failure_class == "infrastructure" and error.code in {
            "incomplete_checkpoint",
            "foreign_checkpoint",
        }
    return False


def resume(path: Path, checkpoint: bytes) -> JobFolder:
    """Run a job from the checkpoint to its end; return its folder."""
    folder = create_job_folder(path, distillation_spec(**SPEC))
    folder.checkpoint.write_bytes(checkpoint)
    assert run_job(folder).outcome == "succeeded"
    return folder


def timeless_measurements(folder: JobFolder) -> list[Measured]:
    """Return what the attempt has measured itself, without durations."""
    return [
        event
        for event in folder.read_events()[0]
        if isinstance(event, Measured) and "seconds" not in event.name
    ]


def is_noticed(
    uninterrupted: JobFolder, expected: list[Measured], path: Path, checkpoint: bytes
) -> bool:
    """Whether a job that resumes from the checkpoint behaves in another way.

    That is, whether it fails, cannot make its report, gives another result than the uninterrupted
    job, or measures other things than ``expected``.
    """
    try:
        folder = resume(path, checkpoint)
        assert_same_results(uninterrupted, folder)
    except (AssertionError, FileNotFoundError, JobFailed, KeyError, ValueError):
        return True
    return timeless_measurements(folder) != expected


def key_paths(value: Any, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """Yield the path of every key of every JSON object in ``value``.

    The entries of a list of objects count as keys, too.
    """
    entries: list[tuple[Key, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        entries = list(enumerate(value))
    for key, inner in entries:
        yield (*path, key)
        yield from key_paths(inner, (*path, key))


def without_key(value: Any, path: tuple[Key, ...]) -> Any:
    """Return a copy of ``value`` without the key at this path."""
    copy = inner = deepcopy(value)
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


def test_c6_complete_checkpoint_is_neither_refused_nor_noticed(
    uninterrupted: JobFolder, checkpoint: Checkpoint, second: JobFolder, tmp_path: Path
) -> None:
    """An unchanged checkpoint resumes to the same bits: the other tests rely on it."""
    checkpoint.save(second.checkpoint)
    assert not is_refused(second)
    content = second.checkpoint.read_bytes()
    expected = timeless_measurements(resume(tmp_path / "third", content))
    assert not is_noticed(uninterrupted, expected, tmp_path / "fourth", content)


def test_c6_checkpoint_without_a_tensor_or_header_is_refused(
    checkpoint: Checkpoint, second: JobFolder, record_figure: RecordFigure
) -> None:
    """Each tensor and each entry of the header is omitted once."""
    names = [*checkpoint.tensors, *checkpoint.header]
    assert {name.split(".")[0] for name in checkpoint.tensors} == {
        "student",
        "heads",
        "best",
        "average",
        "momentum",
    }
    for name in names:
        checkpoint.save(second.checkpoint, omitted=name)
        assert is_refused(second), name
    record_figure(
        "omitted tensors and header entries that are refused",
        f"{len(names)} of {len(names)}",
        "100 %",
    )


def test_c6_checkpoint_without_a_state_key_is_noticed(
    uninterrupted: JobFolder,
    checkpoint: Checkpoint,
    second: JobFolder,
    tmp_path: Path,
    record_figure: RecordFigure,
) -> None:
    """Each key of the state is omitted once: the checkpoint is refused, or the job differs."""
    paths = list(key_paths(checkpoint.state))
    refused = 0
    checkpoint.save(second.checkpoint)
    complete = resume(tmp_path / "complete", second.checkpoint.read_bytes())
    expected = timeless_measurements(complete)
    for number, path in enumerate(paths):
        checkpoint.save(second.checkpoint, without_key(checkpoint.state, path))
        if is_refused(second):
            refused += 1
        else:
            assert len(path) > 1, f"{path}: a field of the state itself"
            content = second.checkpoint.read_bytes()
            assert is_noticed(uninterrupted, expected, tmp_path / str(number), content), path
    record_figure("omitted keys of the state that are refused", f"{refused} of {len(paths)}")
    record_figure(
        "omitted keys of the state that are noticed",
        f"{len(paths) - refused} of the others",
        "100 %",
    )


def test_c6_checkpoint_with_a_wrong_value_is_refused(
    checkpoint: Checkpoint, second: JobFolder
) -> None:
    """A value of another type, or one that is not finite."""
    changes = [
        (field, wrong)
        for field in checkpoint.state
        for wrong in WRONG_VALUES
        if (field, wrong) not in INITIAL_VALUES
    ]
    changes += [
        ("unknown", 1),
        ("seconds", {"preparing": math.nan}),
        ("best_score", [math.inf, 0.5]),
        ("history", [{"epoch": "1"}]),
    ]
    for field, wrong in changes:
        checkpoint.save(second.checkpoint, {**checkpoint.state, field: wrong})
        assert is_refused(second), f"{field} = {wrong!r}"
