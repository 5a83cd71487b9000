"""``python -m tools.screenshots [FOLDER]``: write the pictures of the documentation, docs/images.

Starts the embedded service on a new folder and runs the examples on digits, as the demo does, so
that every number in a picture is a result. Needs Chromium and the built dashboard, and takes some
minutes. The pictures are made while a further job is running.
"""

import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from distill_client.client import Distill
from distill_client.responses import Job
from embedded.demo import run_service, submit, wait_for_jobs

Array = NDArray[np.int64]
FOLDER = Path(__file__).parents[1] / "docs" / "images"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1280
HEIGHT = 960
LAST_SECTIONS = {"overview": "Workers", "job": "Curves", "compare": "Held-out robust accuracy"}
"""Of a page, what its picture ends with; without one it is ``HEIGHT`` high. In CSS pixels."""
SCALE = 1.5
FREQUENT = 48
GRAYS = 64
"""Colors of a palette of 256."""
LEAST_CHROMA = 16
"""Of 255: below, a color counts as gray."""
MAX_BYTES = 250_000
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = signed_in_page(browser, distill)
        for name, path in paths.items():
            page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            page.goto(path)
            wait_until_complete(page)
            if name in LAST_SECTIONS:
                end_with(page, LAST_SECTIONS[name])
            save(page.screenshot(animations="disabled"), folder / f"{name}.png")
        browser.close()


def chromium() -> str:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise SystemExit("Chromium is missing. Install it with:  apt-get install -y chromium")
    return program


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


def save(screenshot: bytes, file: Path) -> None:
    """Write the picture with 256 colors. Raises SystemExit where it is large all the same."""
    picture = np.asarray(Image.open(io.BytesIO(screenshot)).convert("RGB")).astype(np.int64)
    packed = picture[..., 0] << 16 | picture[..., 1] << 8 | picture[..., 2]
    values, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colors = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1)
    palette = palette_of(colors, counts)
    # Of |c - p|², what depends on the palette's entry p.
    distances = (palette**2).sum(axis=-1) - 2 * colors @ palette.T
    indices = distances.argmin(axis=-1).astype(np.uint8)[places].reshape(packed.shape)
    small = Image.fromarray(indices)
    small.putpalette(palette.astype(np.uint8).tobytes())
    small.save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file}: {size:,} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{file} has {size:,} bytes, at most {MAX_BYTES:,} are allowed.")


def palette_of(colors: Array, counts: Array) -> Array:
    """Return the palette (256, 3) for a picture of these colors (N, 3), so often each (N).

    The most frequent colors stay as they are. Of the others, grays and colors are reduced by
    themselves: nearly all of a page is gray, and its small colored marks have to keep their hue.
    """
    order = np.argsort(counts)
    rare = colors[order[:-FREQUENT]]
    is_gray = np.ptp(rare, axis=-1) < LEAST_CHROMA
    groups = [colors[order[-FREQUENT:]]]
    for group, count in ((rare[is_gray], GRAYS), (rare[~is_gray], 256 - FREQUENT - GRAYS)):
        reduced = Image.fromarray(group[None].astype(np.uint8)).quantize(count).getpalette()
        groups.append(np.array(reduced).reshape(-1, 3)[:count])
    return np.concatenate(groups)


if __name__ == "__main__":
    main()
