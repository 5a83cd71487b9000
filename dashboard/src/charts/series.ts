/** What a chart is given, and how it becomes uPlot's columns. */

import uPlot from "uplot";

import type { Band } from "./annotations";
import { smooth } from "./smoothing";

/** Robust is blue and clean is gray in the whole product; runs take 1 to 8 in order. */
export type SeriesColor = "robust" | "clean" | "rest" | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface Series {
  id: string;
  /** At the line's end. */
  label: string;
  /** Pairs (x, y), in order of x. */
  points: readonly (readonly [number, number])[];
  color: SeriesColor;
  /** The teacher is dashed. */
  dashed?: boolean;
  /** One of many in the background: thin, without words at its end. */
  faint?: boolean;
  /** Its interval at each x, drawn as a pale area. */
  band?: Band;
}

/** One line of the canvas: a series, or the raw line below its smoothed one. */
export interface Line {
  series: Series;
  isRaw: boolean;
}

export interface Columns {
  lines: Line[];
  data: uPlot.AlignedData;
}

/** Share of the axis. */
const NEAR_ZERO = 0.05;

interface ColumnOptions {
  /** Weight of the past in [0, 1); 0 draws the values as they are. */
  smoothing: number;
  /** The planned end of x: the empty part is what is left. */
  xEnd: number | undefined;
}

export function toColumns(series: readonly Series[], options: ColumnOptions): Columns {
  const lines: Line[] = [];
  const tables: uPlot.AlignedData[] = [];
  for (const one of series) {
    const x = one.points.map((point) => point[0]);
    const y = one.points.map((point) => point[1]);
    if (options.smoothing > 0) {
      lines.push({ series: one, isRaw: true }, { series: one, isRaw: false });
      tables.push([x, y, smooth(y, smoothingWeight(options.smoothing, y.length))]);
    } else {
      lines.push({ series: one, isRaw: false });
      tables.push([x, y]);
    }
  }
  return { lines, data: extend(join(tables), options.xEnd) };
}

/** Short series are smoothed less: the mean reaches over at most a thirtieth of them. */
export function smoothingWeight(weight: number, points: number): number {
  return Math.min(weight, 1 - 1 / (1 + points / 30));
}

/** Series of one job mostly have the same x: then nothing has to be merged. */
function join(tables: readonly uPlot.AlignedData[]): uPlot.AlignedData {
  const [first] = tables;
  if (first === undefined) return [[]];
  const isShared = tables.every((table) => areEqual(table[0], first[0]));
  if (!isShared) return uPlot.join([...tables]);
  return [first[0], ...tables.flatMap(([, ...ys]) => ys)];
}

function areEqual(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false;
  return true;
}

/** x begins at 0 where the data nearly does, and reaches to the planned end. */
function extend(data: uPlot.AlignedData, xEnd: number | undefined): uPlot.AlignedData {
  const [x, ...columns] = data;
  const first = x[0];
  const last = x[x.length - 1];
  if (first === undefined || last === undefined) return data;
  const end = Math.max(last, xEnd ?? last);
  const before = first > 0 && first <= NEAR_ZERO * end ? 1 : 0;
  const after = end > last ? 1 : 0;
  if (before + after === 0) return data;
  const start: number[] = before ? [0] : [];
  const gap = (count: number) => (count ? [null] : []);
  return [
    [...start, ...x, ...(after ? [end] : [])],
    ...columns.map((column) => [...gap(before), ...column, ...gap(after)]),
  ];
}

/** Index of a column's last value, -1 where there is none. */
export function lastIndex(column: ArrayLike<number | null | undefined>): number {
  let index = column.length - 1;
  while (index >= 0 && column[index] == null) index -= 1;
  return index;
}

/** Index of the last value at or before `index`: a line's value where it has no point. */
export function valueBefore(
  column: ArrayLike<number | null | undefined>,
  index: number,
): number | undefined {
  for (let at = index; at >= 0; at -= 1) {
    const value = column[at];
    if (value != null) return value;
  }
  return undefined;
}
