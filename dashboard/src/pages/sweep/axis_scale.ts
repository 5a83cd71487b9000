/** Where points of a chart over a setting stand, in per cent of its box. Pure. */

import type { AxisSeries } from "./lines";

export interface AxisScale {
  /** Logarithmic where the values reach over more than a factor of ten. */
  isLog: boolean;
  ticks: number[];
  x: (value: number) => number;
  /** Accuracies are 0 to 100. */
  y: (share: number) => number;
}

const LOG_FROM = 10;
const MARGIN = 4;

export function axisScale(curves: readonly AxisSeries[]): AxisScale {
  const values = curves.flatMap(({ points }) => points.map(({ x }) => x));
  const ticks = [...new Set(values)].sort((a, b) => a - b);
  const low = ticks[0] ?? 0;
  const high = ticks.at(-1) ?? 1;
  const isLog = low > 0 && high / low > LOG_FROM;
  const map = isLog ? Math.log10 : (value: number) => value;
  const span = map(high) - map(low) || 1;
  return {
    isLog,
    ticks,
    x: (value) => MARGIN + (100 - 2 * MARGIN) * ((map(value) - map(low)) / span),
    y: (share) => 100 * (1 - Math.min(1, Math.max(0, share))),
  };
}
