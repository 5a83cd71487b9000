"""``python -m tools.screenshots [FOLDER]``: write the pictures of the documentation, docs/images.

Starts the embedded service on a new folder and runs the examples on digits, as the demo does, so
that every number in a picture is a result. Needs Chromium and the built dashboard, and takes some
minutes. The pictures are made while a further job is running.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page

from distill_client.client import Distill
from distill_client.responses import Job
from embedded.demo import run_service, submit, wait_for_jobs
from tests.browser import open_chromium

FOLDER = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 1280
HEIGHT = 960
LAST_SECTIONS = {"overview": "Workers", "job": "Curves", "compare": "Held-out robust accuracy"}
"""Of a page, what its picture ends with; without one it is ``HEIGHT`` high. In CSS pixels."""
SCALE = 1.5
ESTIMATE_MS = 120_000
EPOCHS_FIRST = 8
"""Of the running job, before the pictures are made."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DISTILL_WORKER_NAME"] = "worker-1"  # not the name of this machine
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as scratch,
        run_service(Path(scratch) / "data") as url,
        Distill(url, (Path(scratch) / "data" / "admin.key").read_text().strip()) as distill,
    ):
        jobs = run_examples(distill)
        start_another(distill, jobs["TRADES teacher"])
        photograph(distill, jobs, folder)


def run_examples(distill: Distill) -> dict[str, Job]:
    """Train a teacher, and distill it by two methods and three seeds."""
    jobs = wait_for_jobs(distill, {"TRADES teacher": submit(distill, "digits-teacher")})
    teacher = f"teacher={jobs['TRADES teacher'].id}"
    students = {
        f"{name}, seed {seed}": submit(
            distill, f"digits-{name}", [teacher, f"seed={seed}", f"name=digits-{name}-{seed}"]
        )
        for seed in range(3)
        for name in ("starship", "arkd")
    }
    return jobs | wait_for_jobs(distill, students)


def start_another(distill: Distill, teacher: Job) -> None:
    """Start a longer job, with one in the queue behind it; return in the middle of its training."""
    changes = [f"teacher={teacher.id}", "schedule.epochs=60"]
    running = submit(distill, "digits-starship", [*changes, "name=digits-starship-long"])
    submit(distill, "digits-arkd", [*changes, "name=digits-arkd-long"])
    while True:
        progress = distill.job(running.id).progress
        if progress is not None and (progress.epoch or 0) >= EPOCHS_FIRST:
            return
        time.sleep(0.5)


def photograph(distill: Distill, jobs: dict[str, Job], folder: Path) -> None:
    students = [job.id for title, job in jobs.items() if "seed" in title]
    paths = {
        "overview": "/",
        "job": f"/jobs/{students[0]}",
        "compare": f"/compare?jobs={','.join(students)}&group=method",
        "submit": "/submit?example=digits-starship",
    }
    with open_chromium() as browser:
        page = signed_in_page(browser, distill)
        for name, path in paths.items():
            page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            page.goto(path)
            wait_until_complete(page)
            if name in LAST_SECTIONS:
                end_with(page, LAST_SECTIONS[name])
            page.screenshot(path=folder / f"{name}.png", animations="disabled")


def signed_in_page(browser: Browser, distill: Distill) -> Page:
    context = browser.new_context(
        base_url=distill.url, device_scale_factor=SCALE, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(distill.sign_in_address())
    page.get_by_role("heading", name="Overview").wait_for()
    return page


def wait_until_complete(page: Page) -> None:
    page.locator("h1").wait_for()
    # Every part of a page that is loading says so, for as long as it does; so does an estimate,
    # which begins a moment after the form.
    page.wait_for_timeout(3000)
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.get_by_text("being worked out").first.wait_for(state="detached", timeout=ESTIMATE_MS)
    page.wait_for_timeout(1000)


def end_with(page: Page, section: str) -> None:
    """Make the window as high as the page is down to the end of its section."""
    box = page.get_by_role("region", name=section).first.bounding_box()
    if box is None:
        raise SystemExit(f"{page.url} shows no section {section!r}.")
    height = round(box["y"] + box["height"])
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(1000)


if __name__ == "__main__":
    main()
