"""Time and energy that a job takes, by phase, and whether its next checkpoint is due."""

import time

from core.distillation.metering.energy import Meter
from core.distillation.run_state import RunState


class Stopwatch:
    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.counted = self.saved = time.monotonic()

    def record_phase(self, state: RunState, phase: str) -> None:
        """Add what has passed since the last count to the phase's seconds, and what was taken to its joules."""
        now = time.monotonic()
        state.seconds[phase] = state.seconds.get(phase, 0.0) + now - self.counted
        self.counted = now
        before, taken = state.joules.get(phase, 0.0), self.meter.read_and_reset()
        state.joules[phase] = None if before is None or taken is None else before + taken

    def checkpoint_due(self, every_seconds: float) -> bool:
        """Asked after every step: often enough to look at the energy counters, too."""
        self.meter.sample_if_due()
        return time.monotonic() - self.saved >= every_seconds

    def restart_checkpoint_interval(self) -> None:
        self.saved = time.monotonic()
