/** The design token of a run's color. Set through React's `style`, which uses the CSSOM. */

import type { SeriesColor } from "@/charts";

export function colorVariable(color: SeriesColor): string {
  return `var(--${typeof color === "number" ? "data-" : ""}${color === "rest" ? "data-rest" : color})`;
}
