/** Leaves out the points that nobody can see: of a column of pixels, its ends and extremes stay. */

import type uPlot from "uplot";

import type { Columns } from "./series";

type Range = readonly [number, number];

/** First, last, lowest and highest: the line through them covers the same pixels. */
const POINTS_PER_PIXEL = 4;

/**
 * Returns the columns as uPlot reads them, with about `POINTS_PER_PIXEL` points for each of the
 * `width` pixels and each line. Of what is outside of `range`, the nearest and the farthest points
 * stay: lines run to the edges, and end where they end.
 */
export function thinToPixels(
  columns: Columns,
  range: Range | undefined,
  width: number,
): uPlot.AlignedData {
  const { x, ys } = columns;
  const end = x.length - 1;
  if (x.length <= POINTS_PER_PIXEL * width) return gather(columns, x.keys());
  const first = range === undefined ? 0 : Math.max(0, firstNotBelow(x, range[0]) - 1);
  const last = range === undefined ? end : Math.min(end, firstNotBelow(x, range[1]));
  const isVisible = new Uint8Array(x.length);
  for (const index of [0, first, last, end]) isVisible[index] = 1;
  for (const y of new Set(ys)) {
    isVisible[lastPoint(y)] = 1;
    markExtremes(isVisible, x, y, [first, last], width);
  }
  return gather(columns, indicesOf(isVisible));
}

function markExtremes(
  isVisible: Uint8Array,
  x: Float64Array,
  y: Float64Array,
  [first, last]: Range,
  width: number,
): void {
  const left = x[first] ?? 0;
  const pixelsPerUnit = width / ((x[last] ?? 0) - left || 1);
  let index = first;
  while (index <= last) {
    const pixel = Math.floor(((x[index] ?? 0) - left) * pixelsPerUnit);
    let begin = -1;
    let end = -1;
    let low = -1;
    let high = -1;
    for (; index <= last; index += 1) {
      if (Math.floor(((x[index] ?? 0) - left) * pixelsPerUnit) !== pixel) break;
      const value = y[index] ?? NaN;
      if (Number.isNaN(value)) continue;
      if (begin < 0) begin = low = high = index;
      else if (value < (y[low] ?? NaN)) low = index;
      else if (value > (y[high] ?? NaN)) high = index;
      end = index;
    }
    if (begin >= 0) isVisible[begin] = isVisible[end] = isVisible[low] = isVisible[high] = 1;
  }
}

/** Index of the first value that is not below the bound; the length where all are. */
function firstNotBelow(x: Float64Array, bound: number): number {
  let [low, high] = [0, x.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

function lastPoint(y: Float64Array): number {
  let index = y.length - 1;
  while (index > 0 && Number.isNaN(y[index])) index -= 1;
  return index;
}

function* indicesOf(isVisible: Uint8Array): Generator<number> {
  for (let index = 0; index < isVisible.length; index += 1) if (isVisible[index]) yield index;
}

/** Returns these points, between those of the axis; uPlot wants null where a line has none. */
function gather({ x, ys, bounds }: Columns, chosen: Iterable<number>): uPlot.AlignedData {
  const indices = [...chosen];
  const before = bounds.begin === undefined ? [] : [bounds.begin];
  const after = bounds.end === undefined ? [] : [bounds.end];
  const valueOf = (y: Float64Array) => (index: number) => {
    const value = y[index];
    return value === undefined || Number.isNaN(value) ? null : value;
  };
  return [
    [...before, ...indices.map((index) => x[index] ?? 0), ...after],
    ...ys.map((y) => [
      ...before.map(() => null),
      ...indices.map(valueOf(y)),
      ...after.map(() => null),
    ]),
  ];
}
