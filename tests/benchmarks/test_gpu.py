"""The GPU benchmark on a CPU, tiny: its steps are the trainer's, and its page has every result."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu
from gpu_parts import pieces
from gpu_parts.graphed_step import FoldedCopy
from gpu_parts.session import METHODS, Session, latest_loss, make_step, make_trainer, rates

from core.distillation.models import build
from core.distillation.models.network import Classifier
from core.distillation.network_modes import network_mode


def losses(session: Session, form: str, fields: dict[str, Any]) -> list[float]:
    """The losses of three steps in this form, from the same weights and draws."""
    trainer = make_trainer(session, 4, **fields)
    step = make_step(trainer, form)
    values = []
    for _ in range(3):
        step()
        values.append(latest_loss(trainer, step))
    return values


@pytest.mark.parametrize(
    "fields",
    [
        *({"method": settings} for settings in METHODS.values()),
        {"method": {"name": "arkd"}, "igdm": {}, "awp": {"begin": 0}},
    ],
    ids=str,
)
def test_captured_step_is_the_trainers(fields: dict[str, Any], tmp_path: Path) -> None:
    """The same losses, bit for bit; folded, up to rounding and pixels at an edge of a sign."""
    session = Session(smoke=True, seconds=0, out=tmp_path)
    expected = losses(session, "trainer", fields)
    assert losses(session, "graph", fields) == expected
    assert losses(session, "graph, folded", fields) == pytest.approx(expected, rel=1e-3)


def trained(architecture: str) -> Classifier:
    """A network whose batch norms have statistics of their own."""
    torch.manual_seed(0)
    network = build(architecture, 10)
    with network_mode(network, "train"), torch.no_grad():
        network(torch.rand(4, 3, 32, 32))
    return network.eval()


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet18"])
def test_folded_copy_follows_the_network(architecture: str) -> None:
    network = trained(architecture)
    folded = FoldedCopy(network, torch.float32)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(folded.pairs) == len(norms)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.network.modules())
    images_BCHW = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(folded.network(images_BCHW), network(images_BCHW), atol=1e-4)
        for parameter in network.parameters():
            parameter.mul_(1.1)
        assert not torch.allclose(folded.network(images_BCHW), network(images_BCHW), atol=1e-4)
        folded.refresh()
        assert torch.allclose(folded.network(images_BCHW), network(images_BCHW), atol=1e-4)


def test_page_has_what_was_measured_and_what_failed(tmp_path: Path) -> None:
    """Results are written even where a part raises; ``load`` begins with them."""
    session = Session(smoke=True, seconds=0, out=tmp_path)
    gpu.measure_facts(session)
    gpu.measure_forms(session, "step", "STARSHIP", ("trainer", "graph"))

    def failing() -> None:
        raise RuntimeError("no memory for a graph")

    session.attempt("step", failing, method="ARKD")
    session.save()
    page = (tmp_path / "gpu.md").read_text()
    assert "| STARSHIP | graph | fp32 | 4 |" in page
    assert "- part step, method ARKD, failed RuntimeError: no memory for a graph" in page
    rows = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert [row.get("form") for row in rows] == [None, "trainer", "graph", None]
    assert rows[1]["losses"] == rows[2]["losses"]

    again = Session(smoke=True, seconds=0, out=tmp_path)
    again.load()
    gpu.measure_forms(again, "step", "STARSHIP", ("graph",))
    again.save()
    rows = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert [row.get("form") for row in rows] == [None, "trainer", None, "graph"]


def test_other_parts_run(tmp_path: Path) -> None:
    session = Session(smoke=True, seconds=0, out=tmp_path)
    gpu.profile_step(session, "ARKD", "graph, folded", 4)
    pieces.measure_pieces_at(session, 4)
    pieces.measure_attack(session, "network", "fp32", 4)
    pieces.measure_attack(session, "folded, graph", "fp32", 4)
    gpu.try_capture(session, "SCORE", gpu.CAPTURED["SCORE"])
    session.save()
    assert not any("failed" in row for row in session.results)
    page = (tmp_path / "gpu.md").read_text()
    assert "| STARSHIP's statistics alone | 4 |" in page
    assert "| SCORE | yes |  | 0.0e+00 |" in page
    assert "the folded attack differs in 0.00 % of the pixels" in page


def test_images_per_second_and_an_epoch_follow_from_the_time() -> None:
    """128 images in 32 ms: 4,000 images/s, and 12.5 s for 50,000."""
    assert rates(128, 32.0) == {"images_s": 4000, "epoch_s": 12.5}
