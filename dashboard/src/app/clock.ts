/** The time as it passes, for "8 s ago". One timer for the whole page; no request is sent. */

import { useSyncExternalStore } from "react";

const TICK_MS = 1000;

let now = new Date();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = new Date();
    for (const notify of listeners) notify();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

function read(): Date {
  // Nobody has been listening: the time stood still.
  if (timer === undefined && Date.now() - now.getTime() > TICK_MS) now = new Date();
  return now;
}

export function useNow(): Date {
  return useSyncExternalStore(subscribe, read);
}
