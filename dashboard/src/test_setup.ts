/** What jsdom lacks. Tests of components begin with `// @vitest-environment jsdom`. */

import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

const nothing = () => undefined;

class NoResizes implements ResizeObserver {
  observe = nothing;
  unobserve = nothing;
  disconnect = nothing;
}

if (typeof window !== "undefined") {
  globalThis.ResizeObserver = NoResizes;
  const query = { matches: false, addEventListener: nothing, removeEventListener: nothing };
  window.matchMedia = (media) => ({ ...query, media }) as unknown as MediaQueryList;
}
