"""Sweeps, and their tables."""

import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

from distill_client import events
from distill_client.client.base import Requests, Spec, request_body
from distill_client.responses import Page, Sweep, SweepDryRun, SweepTable, parse_response


class SweepRequests(Requests):
    """Requests about sweeps."""

    def submit_sweep(self, sweep: Spec) -> Sweep:
        """Submit many jobs at once: a base, rows and axes, as the body of POST /v1/sweeps."""
        return parse_response(Sweep, self.transport.post("sweeps", request_body(sweep)))

    def dry_run_sweep(self, sweep: Spec) -> SweepDryRun:
        """Validate every job of a sweep, without submitting any."""
        response = self.transport.post("sweeps", request_body(sweep), {"dry_run": True})
        return parse_response(SweepDryRun, response)

    def sweep(self, sweep_id: str) -> Sweep:
        """Return one sweep."""
        return parse_response(Sweep, self.transport.get(_sweep_path(sweep_id)))

    def sweeps(self) -> Iterator[Sweep]:
        """Iterate over all sweeps."""
        return self._pages("sweeps", Page[Sweep])

    def wait_sweep(
        self, sweep_id: str, on_update: Callable[[Sweep], None] = lambda _: None
    ) -> Sweep:
        """Return the sweep once all of its jobs have ended.

        ``on_update`` is called with the sweep every few seconds.
        """
        while True:
            sweep = self.sweep(sweep_id)
            on_update(sweep)
            if sweep.terminal:
                return sweep
            time.sleep(events.POLL_SECONDS)

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Cancel every job of a sweep that has not ended."""
        return parse_response(Sweep, self.transport.post(f"{_sweep_path(sweep_id)}/cancel"))

    def table(self, sweep_id: str, network: str = "best") -> SweepTable:
        """Return mean and standard deviation over the seeds, a line for each combination.

        Jobs that have not succeeded yet are left out.
        """
        params = {"network": network}
        response = self.transport.get(f"{_sweep_path(sweep_id)}/table", params)
        return parse_response(SweepTable, response)

    def table_text(self, sweep_id: str, format: str, network: str = "best") -> str:
        """Return the same table as text, in the format md, csv or tex."""
        params = {"network": network, "format": format}
        return self.transport.get(f"{_sweep_path(sweep_id)}/table", params).text


def _sweep_path(sweep_id: str) -> str:
    return f"sweeps/{quote(sweep_id, safe='')}"
