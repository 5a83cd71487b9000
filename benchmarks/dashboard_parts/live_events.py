"""An hour's events, written through the store as a worker writes them, and what the pages keep."""

from contextlib import ExitStack
from itertools import pairwise
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page
from sqlalchemy import Engine

from core.store import events, jobs, metrics, project_events
from core.store.attempts import Attempt
from core.store.database.engine import make_engine, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID
from core.store.lifecycle.transitions import transition
from dashboard_parts.browser import visitor
from dashboard_parts.heap import measure_heap
from dashboard_parts.seeded_runs import HELD_OUT, SeededRuns
from tests.builders import training_spec
from tests.embedded.test_service import Embedded

SECONDS_PER_EPOCH = 30
SECONDS_PER_JOB = 60
"""So often somebody submits a job and cancels it."""
SHARES = (0.1, 0.4, 0.7, 1.0)
"""Of the time, after which memory is measured: the first tenth fills every cache."""


def measure_live_events(
    browser: Browser, service: Embedded, seeded: SeededRuns, seconds: int
) -> dict[str, Any]:
    """Return memory of the overview and of a job's page along the way, and the number of events.

    Each page has a process of its own. ``seconds``: of the jobs' time, whose events are written as
    quickly as the store takes them.
    """
    engine = make_engine(f"sqlite:///{service.data}/distill.db")
    paths = {"overview": "/", "job": f"/jobs/{seeded.running[0].job_id}"}
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
    with ExitStack() as stack:
        pages = {}
        for name, path in paths.items():
            context = stack.enter_context(visitor(browser, service))
            page = context.new_page()
            page.goto(path)
            page.locator("h1").wait_for()
            pages[name] = page, context.new_cdp_session(page)
        count = 0
        ends = [round(share * seconds) for share in SHARES]
        for first, last in pairwise([0, *ends]):
            for second in range(first + 1, last + 1):
                count += sum(_train(attempt, second, seconds) for attempt in seeded.running)
                if second % SECONDS_PER_JOB == 0:
                    count += _submit_and_cancel(engine)
            for name, (page, devtools) in pages.items():
                _wait_for_epoch(page, last, seconds)
                samples[name].append(_memory(devtools))
    engine.dispose()
    return {"seconds": seconds, "events": count, "shares": SHARES, "samples": samples}


def _train(attempt: Attempt, second: int, seconds: int) -> int:
    """Write a second of training, of as many epochs as seconds; return the number of events."""
    is_epoch = second % SECONDS_PER_EPOCH == 0
    with attempt.fenced_session() as (session, job):
        job.phase = "training"
        job.progress = {
            "phase": "training",
            "step": 10 * second,
            "of": 10 * seconds,
            "epoch": second,
            "epochs": seconds,
        }
        if is_epoch:
            values = {HELD_OUT: 0.5 * second / (second + 100), "epoch_loss": 2 / second}
            metrics.record(session, job.id, attempt.number, 10 * second, values)
            data = {"epoch": second, "step": 10 * second, "values": values}
            events.append(session, job, "epoch", data)
        project_events.record_job(session, job, "progress")
    return 1 + is_epoch


def _submit_and_cancel(engine: Engine) -> int:
    """In one transaction, so that no worker claims it; return the number of events."""
    with write_session(engine) as session:
        job = jobs.submit(session, DEFAULT_PROJECT, training_spec(), dataset_id=DIGITS_ID)
        transition(session, job, "cancelled", "A user cancelled it before it started.")
    return 2


def _wait_for_epoch(page: Page, epoch: int, epochs: int) -> None:
    """Wait until the page has what was written last."""
    page.get_by_text(f"{epoch:,} of {epochs:,}").first.wait_for(timeout=120_000)


def _memory(devtools: CDPSession) -> dict[str, float]:
    """Bytes of the JavaScript heap, and DOM nodes and listeners, after a garbage collection."""
    heap = measure_heap(devtools)
    counters = devtools.send("Memory.getDOMCounters")
    return {
        "kept_bytes": heap.data,
        "compiled_bytes": heap.code,
        "nodes": counters["nodes"],
        "listeners": counters["jsEventListeners"],
    }
