"""Training through torch.compile: the same training, and nothing of it left behind. By a backend that needs no C++ compiler."""

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
from tests.distillation.folders import distillation_spec, create_job_folder, run_job

SCHEDULE = {"epochs": 1, "batch_size": 64, "checkpoint_seconds": 3600}


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


def test_a_compiled_training_gives_the_student_of_an_ordinary_one(tmp_path: Path) -> None:
    weights, histories = [], []
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


def test_features_are_compiled_inside_and_the_networks_own_outside() -> None:
    network = SmallCnn(10, width=2, channels=1).eval()
    images, own = torch.rand(2, 1, 8, 8), network.features
    expected = own(images)
    with CompiledForward(network):
        assert network.features != own
        torch.testing.assert_close(network.features(images), expected)
    assert network.features == own
    assert "features" not in network.__dict__


def test_without_a_compiler_the_job_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(JobFailed, match=r"schedule\.compile needs a C\+\+ compiler"):
        CompiledForward(SmallCnn(10, width=2, channels=1))
