"""Time and energy that a job uses, by phase, and the interval between its checkpoints."""

import time

from core.distillation.metering.energy import Meter
from core.distillation.run_state import RunState


class Stopwatch:
    """Records into a RunState what a phase has used, and tells when a checkpoint is due."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.recorded_at = time.monotonic()
        self.checkpoint_at = self.recorded_at

    def record_phase(self, state: RunState, phase: str) -> None:
        """Add the seconds and joules since the last call to those of ``phase``."""
        now = time.monotonic()
        state.seconds[phase] = state.seconds.get(phase, 0.0) + now - self.recorded_at
        self.recorded_at = now
        earlier = state.joules.get(phase, 0.0)
        joules = self.meter.read_and_reset()
        state.joules[phase] = None if earlier is None or joules is None else earlier + joules

    def checkpoint_due(self, interval_seconds: float) -> bool:
        """Tell whether a checkpoint is due. Callers ask after every step.

        That is often enough to sample the energy counters, too.
        """
        self.meter.sample_if_due()
        return time.monotonic() - self.checkpoint_at >= interval_seconds

    def restart_checkpoint_interval(self) -> None:
        self.checkpoint_at = time.monotonic()
