"""The comparison of memory estimates, tiny and on a CPU: its page has every row."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import memory_estimate


def test_page_has_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["memory_estimate.py", "--smoke", "--out", str(tmp_path)])
    memory_estimate.main()
    rows = json.loads((tmp_path / "memory_estimate.json").read_text())["results"]
    page = (tmp_path / "memory_estimate.md").read_text()
    assert [row["case"] in page for row in rows] == [True] * len(memory_estimate.SMOKE_CASES)
    for row in rows:
        # Without what CUDA's libraries take, and up to the next batch and the augmentation.
        estimated = row["estimate"]["training_bytes"] - row["estimate"]["parts"]["libraries"]
        assert estimated == pytest.approx(row["measured"]["training"], rel=0.3)


def test_failed_estimate_is_a_row() -> None:
    failed = {"case": "a job", "estimate": {"failed": "no timm"}, "failed": "no timm"}
    assert "| a job | failed: no timm |" in memory_estimate.markdown({"results": [failed]})
