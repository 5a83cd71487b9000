"""A real Chromium, and how long it takes until something is on its screen.

Times are taken in the page, by its own clock: from a click, or from the moment when the data of a
chart has been read, to the end of the frame after the last line was drawn on a canvas. Chromium
does not wait for the screen's refresh here, which would round every time up to 17 ms.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from tests.embedded.test_service import Embedded

ARGUMENTS = [
    "--no-sandbox",
    "--disable-frame-rate-limit",
    "--disable-gpu-vsync",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
]
VIEWPORT = ViewportSize(width=1280, height=900)
NOW = "performance.now()"
DRAWN = (
    "canvasTimes.drawn > 0 && !canvasTimes.isWaiting && performance.now() - canvasTimes.drawn > 400"
)
"""After so many ms without a line drawn, charts are complete."""
SHOWN = "canvasTimes.shown"
POLLING_MS = 10
PRINTED = "time of the benchmark:"
LIMIT_MS = 120_000
"""So long a page is waited for."""
WATCH_CANVAS = """
(() => {
  const state = (window.canvasTimes = { parsed: 0, drawn: 0, shown: 0, isWaiting: false });
  const channel = new MessageChannel();
  // A message posted in a frame's callback arrives after that frame has been painted.
  channel.port1.onmessage = () => {
    state.isWaiting = false;
    state.shown = performance.now();
  };
  const stroke = CanvasRenderingContext2D.prototype.stroke;
  CanvasRenderingContext2D.prototype.stroke = function (...path) {
    stroke.apply(this, path);
    state.drawn = performance.now();
    if (state.isWaiting) return;
    state.isWaiting = true;
    requestAnimationFrame(() => channel.port2.postMessage(0));
  };
  for (const name of ["json", "text"]) {
    const read = Response.prototype[name];
    Response.prototype[name] = async function () {
      const body = await read.call(this);
      if (this.url.includes("/metrics") && state.drawn === 0) state.parsed = performance.now();
      return body;
    };
  }
})();
"""


@contextmanager
def visitor(browser: Browser, service: Embedded | None = None) -> Iterator[BrowserContext]:
    """A browser without a cache, signed in to the service."""
    url = None if service is None else service.url
    context = browser.new_context(base_url=url, viewport=VIEWPORT, reduced_motion="reduce")
    context.set_default_timeout(LIMIT_MS)
    context.add_init_script(WATCH_CANVAS)
    if service is not None:
        key = (service.data / "admin.key").read_text().strip()
        response = context.request.post(
            "/v1/session", data={"key": key}, headers={"Origin": service.url}
        )
        if response.status != 201:
            raise SystemExit(f"Signing in: {response.status} {response.text()}")
    yield context
    context.close()


def time_until(context: BrowserContext, address: str, condition: str, at: str = NOW) -> float:
    """Open the address in a new page; return ms from its navigation until the condition holds.

    ``condition`` and ``at``, the time: expressions of the page's, evaluated every 10 ms.
    """
    page = context.new_page()
    watch(page, condition, at)
    milliseconds = open_and_time(page, address)
    page.close()
    return milliseconds


def watch(page: Page, condition: str, at: str = NOW) -> None:
    """Let each document that the page opens print the time at which the condition holds.

    Nothing is asked of the page meanwhile: a question from outside would first load a large script
    into it, at the cost of a tenth of a second.
    """
    print_time = _once(condition, f'console.debug("{PRINTED}", {at})')
    page.add_init_script(f"{{ {print_time} }}")


def open_and_time(page: Page, address: str) -> float:
    """Open the address in a page that is watched; return the time that it prints (ms)."""
    with page.expect_console_message(lambda message: message.text.startswith(PRINTED)) as printed:
        page.goto(address, wait_until="commit")
    return float(printed.value.text.removeprefix(PRINTED))


def time_click(page: Page, name: str) -> float:
    """Choose the radio button; return ms until the charts that it changes are shown."""
    button = page.get_by_role("radio", name=name, exact=True)
    milliseconds: float = button.evaluate(
        f"""element => new Promise((resolve) => {{
          canvasTimes.drawn = 0;
          const start = performance.now();
          element.click();
          {_once(DRAWN, f"resolve({SHOWN} - start)")}
        }})"""
    )
    return milliseconds


def _once(condition: str, statement: str) -> str:
    """Return JavaScript that runs the statement as soon as the condition holds."""
    return f"""const timer = setInterval(() => {{
      if (!({condition.strip()})) return;
      clearInterval(timer);
      {statement};
    }}, {POLLING_MS});"""
