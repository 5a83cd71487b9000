"""Time that a job takes, by phase, and whether its next checkpoint is due."""

import time


class Stopwatch:
    def __init__(self) -> None:
        self.counted = self.saved = time.monotonic()

    def count(self, seconds: dict[str, float], phase: str) -> None:
        """Add what has passed since the last count to the phase's seconds."""
        now = time.monotonic()
        seconds[phase] = seconds.get(phase, 0.0) + now - self.counted
        self.counted = now

    def save_due(self, every_seconds: float) -> bool:
        return time.monotonic() - self.saved >= every_seconds

    def note_saved(self) -> None:
        self.saved = time.monotonic()
