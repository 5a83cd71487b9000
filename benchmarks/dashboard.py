"""The dashboard in a real Chromium on a real embedded service: first load, charts, memory, MLflow.

    python benchmarks/dashboard.py [--mlflow PYTHON] [--out docs/results] [--smoke]

Needs Chromium and the built dashboard (``./run dashboard``). With ``--mlflow``, an interpreter that
has MLflow, which this project does not depend on, its pages are measured beside ours, on the same
runs. Bounds: 250 kB of script and 1 s at first; 100 ms to draw 2 x 100,000 points and 30 ms to
redraw them; 1.5 s to compare 100 runs of 2,000 points; no growth of memory over an hour of events.
``--smoke`` is much smaller. Writes dashboard.json and dashboard.md.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from dashboard_parts.browser import ARGUMENTS
from dashboard_parts.live_events import measure_live_events
from dashboard_parts.mlflow_runs import mlflow_server
from dashboard_parts.pages import (
    measure_chart,
    measure_first_load,
    measure_mlflow,
    measure_pages,
)
from dashboard_parts.report import markdown
from dashboard_parts.seeded_runs import Run, make_runs, seed_folder
from playwright.sync_api import Browser
from result_files import stamp, write

from api.dashboard import FOLDER
from tests.browser import open_chromium
from tests.embedded.test_service import Embedded

FULL = {
    "runs": 300,
    "points": 2000,
    "compared": 100,
    "chart_points": 100_000,
    "seconds": 3600,
    "repeats": 5,
}
SMOKE = {
    "runs": 6,
    "points": 50,
    "compared": 4,
    "chart_points": 3000,
    "seconds": 120,
    "repeats": 1,
}
RUNNING = 3


def measure_service(
    browser: Browser, folder: Path, runs: list[Run], settings: dict[str, int]
) -> dict[str, Any]:
    repeats = settings["repeats"]
    points = settings["chart_points"]
    _say("filling a service")
    seeded = seed_folder(
        folder, runs, points=settings["points"], wide_points=points, running=RUNNING
    )
    service = Embedded(folder, "--port", "0", DISTILL_SLOTS="1").ready()
    try:
        _say("first load, charts, pages")
        first_load = measure_first_load(browser, service, repeats)
        chart = measure_chart(browser, service, seeded.wide_id, points, repeats)
        pages = measure_pages(browser, service, seeded, settings["compared"], repeats)
        _say("live events")
        live = measure_live_events(browser, service, seeded, settings["seconds"])
    finally:
        service.end()
    return {"first_load": first_load, "chart": chart, "pages": pages, "live": live}


def measure_beside(
    browser: Browser, python: Path, folder: Path, runs: list[Run], settings: dict[str, int]
) -> dict[str, Any]:
    _say("filling MLflow")
    with mlflow_server(python, folder, runs, settings["points"]) as server:
        _say("MLflow's pages")
        pages = measure_mlflow(browser, server, settings["compared"], min(3, settings["repeats"]))
        return {"version": server.version, "pages": pages}


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mlflow", type=Path, metavar="PYTHON")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    if not (FOLDER / "index.html").exists():
        raise SystemExit("The dashboard is not built. Run:  ./run dashboard")
    settings = SMOKE if arguments.smoke else FULL
    runs = make_runs(settings["runs"])
    with (
        tempfile.TemporaryDirectory(prefix="dashboard-") as scratch,
        open_chromium(ARGUMENTS) as browser,
    ):
        results = measure_service(browser, Path(scratch) / "data", runs, settings)
        mlflow = arguments.mlflow and measure_beside(
            browser, arguments.mlflow, Path(scratch) / "mlflow", runs, settings
        )
        versions = {"chromium": browser.version}
    data = {"settings": settings | {"smoke": arguments.smoke}, **results, "mlflow": mlflow}
    data |= stamp()
    data["versions"] |= versions
    write(arguments.out, "dashboard", data, markdown(data))


if __name__ == "__main__":
    main()
