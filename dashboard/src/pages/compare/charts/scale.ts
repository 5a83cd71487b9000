/** Axes with round ticks. */

export interface Axis {
  low: number;
  high: number;
  ticks: readonly number[];
}

const STEPS = [1, 2, 2.5, 5, 10];
const MOST_TICKS = 6;

/** The smallest axis with three to six round ticks that holds all values, within [least, most]. */
export function axisOf(values: readonly number[], least = -Infinity, most = Infinity): Axis {
  const lowest = Math.min(...values);
  const highest = Math.max(...values);
  if (values.length === 0) return { low: 0, high: 1, ticks: [0, 1] };
  const span = highest - lowest || Math.abs(highest) || 1;
  const step = stepOf(lowest, highest, span);
  let low = Math.max(least, step * Math.floor(lowest / step + 1e-9));
  let high = Math.min(most, step * Math.ceil(highest / step - 1e-9));
  if (low === high) {
    low = Math.max(least, low - step);
    high = Math.min(most, high + step);
  }
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
  return { low, high, ticks };
}

function stepOf(lowest: number, highest: number, span: number): number {
  const power = 10 ** Math.floor(Math.log10(span / MOST_TICKS));
  const ticks = (step: number) => Math.ceil(highest / step) - Math.floor(lowest / step) + 1;
  return power * (STEPS.find((size) => ticks(size * power) <= MOST_TICKS) ?? 20);
}

/** Where a value is, as a share of the axis. */
export function shareOf(value: number, { low, high }: Axis): number {
  return (value - low) / (high - low);
}
