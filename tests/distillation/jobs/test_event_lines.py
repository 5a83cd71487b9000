"""What a trainer prints, line by line."""

from pathlib import Path

import pytest

from core.distillation.jobs.event_lines import PrintingJobFolder, describe_event
from core.job_folder import (
    Ended,
    EpochCompleted,
    Event,
    FileReady,
    Imported,
    Measured,
    Metrics,
    Note,
    PhaseStarted,
    Progress,
    Resumed,
    Warned,
)

VALUES = {"loss": 0.15504, "held_out_clean": 0.9583, "held_out_robust": 0.78472, "kl": 1.0}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (PhaseStarted(phase="training"), "training"),
        (
            EpochCompleted(epoch=374, step=3740, values=VALUES),
            "epoch 374  step 3740  loss 0.1550  held-out clean 95.83  robust 78.47",
        ),
        (
            EpochCompleted(epoch=1, step=10, values={"loss": 2.0}),
            "epoch 1  step 10  loss 2.0000",
        ),
        (
            Measured(network="best", name="autoattack@linf:8/255", value=0.533333),
            "best  AutoAttack, L∞, 8/255  53.33 %",
        ),
        (
            Measured(network="best", name="training_seconds_per_epoch", value=1.5),
            "best  Training time per epoch  1.5 s",
        ),
        (
            FileReady(name="best.safetensors", kind="weights", size=12345, sha256="0" * 64),
            "weights best.safetensors  12,345 bytes",
        ),
        (Resumed(step=7), "goes on from the checkpoint of step 7"),
        (Note(message="It starts anew."), "It starts anew."),
        (Warned(code="loss_grown", message="It grows."), "warning: It grows. (loss_grown)"),
        (Imported(report={"layout": "One folder a class."}), "imported  One folder a class."),
        (Imported(), "imported"),
        (Ended(outcome="succeeded"), "succeeded"),
        # Their message is printed to standard error.
        (Ended(outcome="failed", message="It failed."), None),
        (Metrics(step=1, values={"loss": 1.0}), None),
        (Progress(phase="training", step=1, of=2), None),
    ],
)
def test_event_is_printed_as(event: Event, line: str | None) -> None:
    assert describe_event(event) == line


def test_events_are_emitted_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = PrintingJobFolder(tmp_path)
    folder.emit(PhaseStarted(phase="preparing"))
    folder.emit(Metrics(step=1, values={"loss": 1.0}))
    assert capsys.readouterr().out == "preparing\n"
    assert len(folder.read_events()[0]) == 2


def test_closed_standard_output_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ClosedPipe:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", ClosedPipe())
    folder = PrintingJobFolder(tmp_path)
    folder.emit(PhaseStarted(phase="preparing"))
    assert len(folder.read_events()[0]) == 1
