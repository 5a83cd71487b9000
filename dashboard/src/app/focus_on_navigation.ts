/** A new page is announced by its heading, which gets the focus, also where it is still loading. */

import { useEffect, useRef, type RefObject } from "react";
import { useLocation } from "react-router";

/** The first page leaves the focus where it is. `main`: what holds the page. */
export function useFocusOnNavigation(main: RefObject<HTMLElement | null>): void {
  const { pathname } = useLocation();
  const previous = useRef(pathname);
  useEffect(() => {
    if (previous.current === pathname || main.current === null) return undefined;
    previous.current = pathname;
    return keepOnHeading(main.current);
  }, [main, pathname]);
}

/**
 * Focuses the heading, and the one that takes its place when the page's data is there. Ends with
 * the returned function, or with whatever its reader does.
 */
function keepOnHeading(main: HTMLElement): () => void {
  const focus = () => (main.querySelector("h1") ?? main).focus({ preventScroll: true });
  const observer = new MutationObserver(() => {
    const { activeElement } = document;
    if (activeElement === document.body || activeElement === main) focus();
  });
  const stop = () => {
    observer.disconnect();
    document.removeEventListener("keydown", stop, true);
    document.removeEventListener("pointerdown", stop, true);
  };
  document.addEventListener("keydown", stop, true);
  document.addEventListener("pointerdown", stop, true);
  observer.observe(main, { childList: true, subtree: true });
  focus();
  return stop;
}
