"""Training through torch.compile, with a backend that needs no C++ compiler."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.distillation.models.small_cnn import SmallCnn
from core.distillation.training.compiled import CompiledForward
from core.errors import JobFailed
from tests.distillation.folders import create_job_folder, distillation_spec, run_job

SCHEDULE = {"epochs": 1, "batch_size": 64, "checkpoint_seconds": 3600}


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


def test_a_compiled_training_gives_the_same_student(tmp_path: Path) -> None:
    weights = []
    histories = []
    for compiled in (False, True):
        folder = create_job_folder(
            tmp_path / str(compiled), distillation_spec(schedule={**SCHEDULE, "compile": compiled})
        )
        assert run_job(folder).outcome == "succeeded"
        weights.append(load_file(folder.output / "best.safetensors"))
        histories.append(json.loads((folder.output / "report.json").read_text())["history"])
    assert weights[0].keys() == weights[1].keys()
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=1e-3, atol=1e-4)
    assert histories[1][0]["loss"] == pytest.approx(histories[0][0]["loss"], rel=1e-4)


def test_features_are_compiled_inside_the_context_only() -> None:
    network = SmallCnn(10, width=2, channels=1).eval()
    images = torch.rand(2, 1, 8, 8)
    uncompiled = network.features
    expected = uncompiled(images)
    with CompiledForward(network):
        assert network.features != uncompiled
        torch.testing.assert_close(network.features(images), expected)
    assert network.features == uncompiled
    assert "features" not in network.__dict__


def test_a_job_without_a_compiler_fails_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(JobFailed, match=r"schedule\.compile needs a C\+\+ compiler"):
        CompiledForward(SmallCnn(10, width=2, channels=1))
