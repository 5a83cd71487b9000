"""What a trainer prints about its events: a line per phase, epoch, file and result."""

from contextlib import suppress

from core.job_folder import (
    Ended,
    EpochCompleted,
    Event,
    FileReady,
    Imported,
    JobFolder,
    Measured,
    Note,
    PhaseStarted,
    Resumed,
    Warned,
)
from core.reportspec.measures import describe

HELD_OUT = (("held_out_clean", "clean"), ("held_out_robust", "robust"))


class PrintingJobFolder(JobFolder):
    """A job folder that also prints its events, for the job's log and whoever runs it by hand."""

    def emit(self, event: Event) -> None:
        super().emit(event)
        line = describe_event(event)
        if line is not None:
            with suppress(OSError, UnicodeError):  # no line is worth the job
                print(line, flush=True)


def describe_event(event: Event) -> str | None:
    """Return a line for people; None for what comes with every step."""
    match event:
        case PhaseStarted():
            return event.phase
        case EpochCompleted():
            return _describe_epoch(event)
        case Measured():
            return _describe_result(event)
        case FileReady():
            return f"{event.kind} {event.name}  {event.size:,} bytes"
        case Resumed():
            return f"goes on from the checkpoint of step {event.step}"
        case Note():
            return event.message
        case Warned():
            return f"warning: {event.message} ({event.code})"
        case Imported(report=report):
            return f"imported  {report.get('layout') or ''}".rstrip()
        case Ended(outcome="succeeded"):
            return "succeeded"
    return None


def _describe_epoch(event: EpochCompleted) -> str:
    line = f"epoch {event.epoch}  step {event.step}"
    if "loss" in event.values:
        line += f"  loss {event.values['loss']:.4f}"
    accuracies = [
        f"{title} {100 * event.values[name]:.2f}"
        for name, title in HELD_OUT
        if name in event.values
    ]
    return f"{line}  held-out {'  '.join(accuracies)}" if accuracies else line


def _describe_result(event: Measured) -> str:
    measure = describe(event.name)
    value = f"{measure.scale * event.value:.4g}"
    if measure.accuracy:
        value = f"{measure.scale * event.value:.2f}"
    return f"{event.network}  {measure.title}  {value} {measure.unit}".rstrip()
