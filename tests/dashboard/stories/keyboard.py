"""A person without a mouse: keys only, and every stop of the focus has to be seen."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page

MOST_STOPS = 250
"""More than any page has: who needs more is caught in a trap."""
FOCUS = """() => {
  const element = document.activeElement;
  if (element === null || element === document.body) return null;
  element.keyboardVisits = (element.keyboardVisits ?? 0) + 1;
  const box = element.getBoundingClientRect();
  const isInside = (x, y) => {
    const top = document.elementFromPoint(x, y);
    const isOwn = top !== null && (element.contains(top) || top.contains(element));
    return isOwn && top !== document.body && top !== document.documentElement;
  };
  const xs = [0.1, 0.5, 0.9].map((part) => box.left + part * box.width);
  const ys = [0.1, 0.5, 0.9].map((part) => box.top + part * box.height);
  // An input may be drawn by what is around it: an editor with marked lines, a row of choices.
  const parent = element.parentElement;
  const hasRing = [element, parent, parent.parentElement ?? parent].some((part) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(part);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
  });
  return {
    name: element.outerHTML.slice(0, 120),
    visits: element.keyboardVisits,
    isSeen: box.width > 0 && box.height > 0 && xs.some((x) => ys.some((y) => isInside(x, y))),
    hasRing,
  };
}"""
MISSED = """() => {
  const radios = [...document.querySelectorAll("input[type=radio]")];
  const isReached = (element) =>
    element.keyboardVisits !== undefined ||
    (element.type === "radio" &&
      radios.some((radio) => radio.name === element.name && radio.keyboardVisits !== undefined));
  const selector = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  return [...document.querySelectorAll(selector)]
    .filter((element) => !element.disabled && element.tabIndex >= 0 && element.checkVisibility())
    .filter((element) => !isReached(element))
    .map((element) => element.outerHTML.slice(0, 120));
}"""


@dataclass(frozen=True)
class Keyboard:
    """The keys of one page. No method clicks, or moves the focus by other means than keys."""

    page: Page

    def tab_to(self, target: Locator) -> None:
        """Press Tab until the target has the focus. Raises AssertionError if it never gets it."""
        target.first.wait_for()
        stops = []
        for _ in range(MOST_STOPS):
            if self._has_focus(target):
                return
            stops.append(self.tab())
        raise AssertionError(f"Tab does not reach {target}: {stops}")

    def tab(self) -> str | None:
        """Press Tab once; return what has the focus then, which has to be seen with its ring."""
        focus = self._next_focus()
        return None if focus is None else str(focus["name"])

    def press(self, target: Locator, key: str = "Enter") -> None:
        """Tab to the target, and press a key on it."""
        self.tab_to(target)
        self.page.keyboard.press(key)

    def write(self, target: Locator, text: str) -> None:
        """Tab to an input, and replace what is in it."""
        self.tab_to(target)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def walk(self) -> int:
        """Press Tab through the whole page, once around; return the number of stops.

        Raises AssertionError if the way does not end, or leaves something out.
        """
        for stops in range(MOST_STOPS):
            focus = self._next_focus()
            if focus is None or focus["visits"] > 1:
                missed = self.page.evaluate(MISSED)
                assert missed == [], f"Tab does not reach {missed}"
                return stops
        raise AssertionError(f"Tab does not leave the page in {MOST_STOPS} steps")

    def _next_focus(self) -> dict[str, Any] | None:
        """Press Tab; return what ``FOCUS`` says, None where the focus has left the page."""
        self.page.keyboard.press("Tab")
        focus: dict[str, Any] | None = self.page.evaluate(FOCUS)
        if focus is not None:
            assert focus["isSeen"], f"the focus is out of sight, on {focus['name']}"
            assert focus["hasRing"], f"nothing shows that the focus is on {focus['name']}"
        return focus

    def _has_focus(self, target: Locator) -> bool:
        return bool(
            target.evaluate_all("(all) => all.some((one) => one === document.activeElement)")
        )
