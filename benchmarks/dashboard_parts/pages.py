"""How long pages take from their navigation until what they are for is on the screen."""

import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Route, TimeoutError

from api.dashboard import FOLDER
from dashboard_parts.browser import (
    DRAWN,
    LIMIT_MS,
    NOW,
    SHOWN,
    open_and_time,
    time_click,
    time_until,
    visitor,
    watch,
)
from dashboard_parts.mlflow_runs import MlflowServer
from dashboard_parts.seeded_runs import HELD_OUT, SeededRuns
from tests.embedded.test_service import Embedded

USABLE = """
  document.querySelector("main section") && !document.querySelector("[aria-busy=true]")
"""
POINTS_OF_PAGE = "points=800"
"""What a job's page asks for: the service thins what is longer."""


class Page(NamedTuple):
    """An address, when its page is on the screen, and at what time (ms)."""

    address: str
    condition: str
    at: str = NOW


def measure_first_load(browser: Browser, service: Embedded, repeats: int) -> dict[str, Any]:
    """Return bytes of script, gzipped, and ms until the overview shows its sections."""
    times = []
    for _ in range(repeats):
        with visitor(browser, service) as context:
            times.append(time_until(context, "/", USABLE))
    with visitor(browser, service) as context:
        page = context.new_page()
        watch(page, USABLE)
        open_and_time(page, "/")
        addresses: list[str] = page.evaluate(
            """performance.getEntriesByType("resource")
              .map(({ name }) => name).filter((name) => name.endsWith(".js"))"""
        )
    paths = {urlsplit(address).path for address in addresses}
    return {
        "script_bytes": sum(_gzipped_size(FOLDER / path.lstrip("/")) for path in paths),
        "usable_ms": times,
    }


def _gzipped_size(file: Path) -> int:
    """Of a small file, which is not compressed, the size itself."""
    compressed = file.with_name(f"{file.name}.gz")
    return (compressed if compressed.exists() else file).stat().st_size


def measure_chart(
    browser: Browser, service: Embedded, job_id: str, points: int, repeats: int
) -> dict[str, Any]:
    """Return ms that a chart of two curves takes, first and again, on its job's own page.

    The page's request is changed so that the service sends every point.
    """
    again_ms: list[float] = []
    with visitor(browser, service) as context:
        page = context.new_page()
        page.route(f"**/metrics?*{POINTS_OF_PAGE}*", lambda route: _ask_for(route, points))
        watch(page, DRAWN, f"{SHOWN} - canvasTimes.parsed")
        first_ms = [open_and_time(page, f"/jobs/{job_id}?x=step") for _ in range(repeats)]
        for _ in range(repeats):
            again_ms += [time_click(page, name) for name in ("Raw", "Smooth")]
    return {"points": points, "drawn_ms": first_ms, "redrawn_ms": again_ms}


def _ask_for(route: Route, points: int) -> None:
    route.continue_(url=route.request.url.replace(POINTS_OF_PAGE, f"points={points}"))


def measure_pages(
    browser: Browser, service: Embedded, seeded: SeededRuns, compared: int, repeats: int
) -> dict[str, list[float]]:
    """Return ms until a list of all jobs, one job, and a comparison with its curves are shown."""
    ids = seeded.ended_ids
    row = f"document.querySelector('a[href$=\"/jobs/{ids[-1]}\"]')"
    addresses = {
        "list": Page("/jobs", row),
        "run": Page(f"/jobs/{ids[-1]}", f"document.querySelector('main table') && {DRAWN}", SHOWN),
        "compare": Page(f"/compare?jobs={','.join(ids[:compared])}", DRAWN, SHOWN),
    }
    return _time_all(browser, addresses, repeats, service)


def measure_mlflow(
    browser: Browser, server: MlflowServer, compared: int, repeats: int
) -> dict[str, list[float]]:
    """Return the same of MLflow's pages: its list, a run, and the curves of its comparison.

    A page that is not there after ``LIMIT_MS`` has this time, and is not opened again.
    """
    experiment = f"{server.url}/#/experiments/{server.experiment_id}/runs"
    runs = json.dumps(server.run_ids[:compared])
    query = f'runs={runs}&metric="{HELD_OUT}"&experiments=["{server.experiment_id}"]'
    curves = f'{server.url}/#/metric?{query}&plot_metric_keys=["{HELD_OUT}"]'
    metric = f"[...document.querySelectorAll('a')].some((a) => a.textContent === '{HELD_OUT}')"
    plot = "document.querySelector('.js-plotly-plot')"
    # Plotly draws on SVG or by WebGL.
    layers = f"({plot}.querySelector('.scatterlayer .trace') ?? {plot}.querySelector('.gl-canvas'))"
    traces = f"{plot}?.calcdata?.length >= {compared} && {layers}"
    addresses = {
        "list": Page(experiment, "document.querySelector('main a[href*=\"/runs/\"]')"),
        "run": Page(f"{experiment}/{server.run_ids[-1]}", metric),
        "compare": Page(curves, traces),
    }
    return _time_all(browser, addresses, repeats, None)


def _time_all(
    browser: Browser, pages: dict[str, Page], repeats: int, service: Embedded | None
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in pages}
    for name, page in pages.items():
        for _ in range(repeats):
            with visitor(browser, service) as context:
                try:
                    times[name].append(time_until(context, *page))
                except TimeoutError:
                    times[name].append(LIMIT_MS)
                    break
    return times
