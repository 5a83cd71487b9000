"""``python -m embedded.demo``: from nothing to a robust student in three minutes.

Uses only the REST interface. Starts the service on a new folder, trains a robust teacher on
handwritten digits, distills it into two small students in parallel (STARSHIP and ARKD), downloads
the weights and the report of the first, and compares the three.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.display import (
    ProgressDisplay,
    echo,
    echo_stderr,
    format_percent,
    show_table,
)
from distill_client.errors import ClientError
from distill_client.measures import describe
from distill_client.responses import Job, Measure

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
SHUTDOWN_SECONDS = 60.0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse_arguments()
    folder = arguments.data / time.strftime("%Y%m%d-%H%M%S")
    try:
        with (
            run_service(folder) as url,
            Distill(url, (folder / "admin.key").read_text().strip()) as distill,
        ):
            echo_stderr(f"Watch it in the dashboard: {distill.sign_in_address()}")
            train_and_compare(distill, folder / "student")
            show_dashboard(distill, folder, arguments.keep)
            while arguments.keep:
                time.sleep(1)
    except KeyboardInterrupt:
        echo_stderr("Ended.")
        return 130
    except (ClientError, OSError) as error:
        echo_stderr(str(error))
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.demo", description="From nothing to a robust student."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("demo-data"),
        help="the folder in which each demo creates a folder of its own",
    )
    parser.add_argument(
        "--keep",
        action=argparse.BooleanOptionalAction,
        default=sys.stdout.isatty(),
        help="leave the service running until Ctrl-C; the default at a terminal",
    )
    return parser.parse_args()


@contextmanager
def run_service(folder: Path) -> Iterator[str]:
    """Run the embedded service on a free port while the context is open; yield its address."""
    command = [sys.executable, "-P", "-m", "embedded", "--port", "0", "--data", str(folder)]
    # So small a network gains nothing from more threads, and loses much on a busy machine.
    environment = {"DISTILL_THREADS": "1", **os.environ}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        first_line = process.stdout.readline().strip()
        if not first_line:
            raise ClientError("The service did not start.")
        echo_stderr(first_line)
        yield (folder / "url").read_text().strip()
    finally:
        process.terminate()
        process.wait(SHUTDOWN_SECONDS)


def train_and_compare(distill: Distill, results: Path) -> None:
    """Train a teacher and two students, and print a table of all three."""
    submitted = submit(distill, "digits-teacher")
    jobs = wait_for_jobs(distill, {"TRADES teacher": submitted})
    teacher = jobs["TRADES teacher"]
    changes = [f"teacher={teacher.id}"]
    students = {
        "STARSHIP student": submit(distill, "digits-starship", changes),
        "ARKD student": submit(distill, "digits-arkd", changes),
    }
    jobs |= wait_for_jobs(distill, students)
    files = distill.download(
        jobs["STARSHIP student"].id, results, ["best.safetensors", "report.json"]
    )
    echo(
        "\nScikit-learn's digits, 360 test images; best checkpoint by held-out images; "
        "accuracies in %"
    )
    keys = [key for key in (teacher.results or {}).get("best", {}) if is_shown(describe(key))]
    show_table(
        ["network", "parameters", *(describe(key).title for key in keys)],
        (row(distill, title, job, keys) for title, job in jobs.items()),
    )
    echo(f"weights            {files[0]}")
    echo(f"report             {files[1]}")
    echo(f"API documentation  {distill.url}/docs")


def show_dashboard(distill: Distill, folder: Path, keep: bool) -> None:
    """Print where the dashboard is, and for how long."""
    if keep:
        echo(f"dashboard          {distill.sign_in_address()}")
        echo("The address signs in once, within ten minutes. The service goes on until Ctrl-C.")
        return
    port = urlsplit(distill.url).port
    echo(f"dashboard          {distill.url}")
    echo(
        f"The service ends now. ./run up --data {folder} --port {port} starts it again, with all "
        "of this in it, and prints an address that signs in to the dashboard."
    )


def submit(distill: Distill, example: str, changes: list[str] | None = None) -> Job:
    """Submit a job of docs/examples."""
    return distill.submit(spec_file.load(EXAMPLES / f"{example}.yaml", changes or []))


def wait_for_jobs(distill: Distill, jobs: dict[str, Job]) -> dict[str, Job]:
    """Return the jobs, by title, once they have ended. Raises ClientError unless all succeeded."""
    with ProgressDisplay() as display:
        bars = {title: display.add(title) for title in jobs}
        for title, job in jobs.items():
            bars[title](job)
        # One after the other, as the single worker runs them.
        ended = {title: distill.wait(job.id, bars[title]) for title, job in jobs.items()}
    for title, job in ended.items():
        if job.status != "succeeded":
            reason = job.failure.message if job.failure else ""
            raise ClientError(f"{title}: {job.id} {job.status}. {reason}")
    return ended


def is_shown(measure: Measure) -> bool:
    return measure.name == "clean" or measure.is_test_robustness


def row(distill: Distill, title: str, job: Job, keys: list[str]) -> list[object]:
    """Return a job's row of the table, a column for each key; accuracies in %."""
    if job.model_id is None:
        raise ClientError(f"{title}: {job.id} has published no model.")
    parameters = distill.model(job.model_id).parameters
    best = (job.results or {}).get("best", {})
    accuracies = [format_percent(best.get(key)) for key in keys]
    return [
        f"{title} (small CNN, width {job.spec['student']['width']})",
        f"{parameters:,}" if parameters else None,
        *accuracies,
    ]


if __name__ == "__main__":
    sys.exit(main())
