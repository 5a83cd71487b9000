"""A real Chromium, for tests of pages, for their benchmark and their pictures."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-quic")


@contextmanager
def open_chromium(arguments: Sequence[str] = ARGUMENTS) -> Iterator[Browser]:
    """Run Chromium for as long as the context is open.

    A fixture that uses it is at most of scope ``module``: as long as it is open, an event loop runs
    in this thread, in which neither a second Chromium nor ``asyncio.run`` can start.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "Chromium is missing. Install it with:  apt-get install -y chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
