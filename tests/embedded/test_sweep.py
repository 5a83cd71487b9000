"""The paper's Table 7 on digits, through the embedded service."""

from pathlib import Path

import pytest

from distill_client import spec_file
from tests.builders import training_body
from tests.embedded.test_service import Start, start

__all__ = ["start"]

TABLE_7 = Path(__file__).parents[2] / "docs" / "paper" / "table7.yaml"
ON_DIGITS = [
    "base.student={architecture: small_cnn, width: 4}",
    "base.data={dataset: digits, held_out: 0.2, limit: 640}",
    "base.adversary={name: pgd, radius: 0.15, step_size: 0.0375, steps: 3}",
    "base.schedule={epochs: 2, batch_size: 128, learning_rate: 0.1}",
    "base.evaluation={attacks: [{name: pgd, steps: 5}, "
    "{name: autoattack, queries: 10, iterations: 5}], limit: 100}",
    "base.export=[]",
    "axes.seed=[0, 1]",
]
TITLES = ["Clean", "PGD-5, L∞, 0.15", "AutoAttack (queries 10, iterations 5), L∞, 0.15"]


@pytest.mark.timeout(600)
def test_the_sweep_of_table_7_on_digits(start: Start) -> None:
    with start("data", "--port", "0", DISTILL_SLOTS="2").ready().client() as service:
        teacher = service.wait(
            service.submit(training_body(export=[], schedule={"epochs": 4, "batch_size": 128})).id
        )
        sweep = service.submit_sweep(
            spec_file.load(TABLE_7, [*ON_DIGITS, f"base.teacher={teacher.id}"])
        )
        assert sweep.size == 14
        ended = service.wait_sweep(sweep.id)
        assert ended.jobs == {"succeeded": 14}
        table = service.table(sweep.id)
        assert [line.name for line in table.lines] == [
            "ARKD",
            "+ FCA",
            "+ PGM",
            "+ FCA + PGM",
            "+ FCA + Omega",
            "+ PGM + Omega",
            "+ FCA + PGM + Omega",
        ]
        assert all(line.done == line.jobs == 2 for line in table.lines)
        assert [table.descriptions[key].title for key in table.measures[:3]] == TITLES
        assert all(
            line.cells["clean"].n == 2 and line.cells["clean"].sd is not None
            for line in table.lines
        )
        # A cell is the mean of its two jobs' results; held-out images say which line is the best.
        jobs = {
            line.name: [job for job in service.jobs(sweep=sweep.id) if job.sweep_line == line.name]
            for line in table.lines
        }
        for line in table.lines:
            clean = [(job.results or {})["best"]["clean"] for job in jobs[line.name]]
            assert abs(line.cells["clean"].mean - sum(clean) / 2) < 1e-9
        held_out = {line.name: line.cells["held_out_pgd-10@linf:0.15"].mean for line in table.lines}
        assert [line.name for line in table.lines if line.best] == [
            max(held_out, key=lambda name: held_out[name])
        ]
        assert service.table_text(sweep.id, "md").count("\n") == 9
