"""``python -m embedded.demo``: the whole road in three minutes, by the public interface only.

Starts the service on a fresh folder, trains a robust teacher on handwritten digits, distils it into two small students
beside each other (STARSHIP and ARKD), fetches the first one's weights and report, and compares the three.
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

from distill_client import spec_file
from distill_client.client import Distill
from distill_client.display import Watching, percent, say, show_table, tell
from distill_client.errors import ClientError
from distill_client.responses import Job

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
END_SECONDS = 60.0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(
        prog="python -m embedded.demo", description="From nothing to a robust student."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("demo-data"),
        help="each demo makes a folder of its own in here",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the service running until Ctrl-C"
    )
    arguments = parser.parse_args()
    folder = arguments.data / time.strftime("%Y%m%d-%H%M%S")
    try:
        with (
            service(folder) as url,
            Distill(url, (folder / "admin.key").read_text().strip()) as distill,
        ):
            show(distill, folder / "student")
            if not arguments.keep:
                say(
                    f"The service ends now; ./run up --data {folder} starts it again, with all of this in it."
                )
            else:
                say("The service goes on until Ctrl-C.")
                while True:
                    time.sleep(1)
    except KeyboardInterrupt:
        tell("Ended.")
        return 130
    except (ClientError, OSError) as error:
        tell(str(error))
        return 1
    return 0


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """The embedded service at a free port: its address."""
    command = [sys.executable, "-P", "-m", "embedded", "--port", "0", "--data", str(folder)]
    # So small a network gains nothing from more, and loses much where other programs want the cores.
    environment = {"DISTILL_THREADS": "1", **os.environ}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline().strip()
        if not ready:
            raise ClientError("The service did not start.")
        tell(ready)
        yield (folder / "url").read_text().strip()
    finally:
        process.terminate()
        process.wait(END_SECONDS)


def show(distill: Distill, results: Path) -> None:
    teacher = run(distill, {"TRADES teacher": submit(distill, "digits-teacher")})["TRADES teacher"]
    to_teacher = [f"teacher={teacher.id}"]
    students = {
        "STARSHIP student": submit(distill, "digits-starship", to_teacher),
        "ARKD student": submit(distill, "digits-arkd", to_teacher),
    }
    jobs = {"TRADES teacher": teacher} | run(distill, students)
    files = distill.download(
        jobs["STARSHIP student"].id, results, ["best.safetensors", "report.json"]
    )
    say(
        "\nScikit-learn's digits, 360 test images; best checkpoint by held-out images; perturbation radius 0.15; accuracies in %"
    )
    show_table(
        ["network", "parameters", "clean", "PGD-20", "CW"],
        (row(distill, title, job) for title, job in jobs.items()),
    )
    say(
        f"weights            {files[0]}\nreport             {files[1]}\nAPI documentation  {distill.url}/docs"
    )


def submit(distill: Distill, example: str, changes: list[str] | None = None) -> Job:
    return distill.submit(spec_file.load(EXAMPLES / f"{example}.yaml", changes or []))


def run(distill: Distill, jobs: dict[str, Job]) -> dict[str, Job]:
    """The jobs when they have ended, with a bar each. Raises ClientError unless all have succeeded."""
    with Watching() as watching:
        bars = {title: watching.follow(title) for title in jobs}
        for title, job in jobs.items():
            bars[title](job)
        # One after the other, as the one worker takes them.
        ended = {title: distill.wait(job.id, bars[title]) for title, job in jobs.items()}
    for title, job in ended.items():
        if job.status != "succeeded":
            raise ClientError(
                f"{title}: {job.id} {job.status}. {job.failure.message if job.failure else ''}"
            )
    return ended


def row(distill: Distill, title: str, job: Job) -> list[object]:
    assert job.model_id is not None
    parameters = distill.model(job.model_id).parameters
    best = (job.results or {}).get("best", {})
    network = f"{title} (small CNN, width {job.spec['student']['width']})"
    return [
        network,
        f"{parameters:,}" if parameters else None,
        *(percent(best.get(name)) for name in ("clean", "pgd", "cw")),
    ]


if __name__ == "__main__":
    sys.exit(main())
