/** What a chart is given, and how it becomes uPlot's columns. */

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

/** A series' points as columns. */
export interface Table {
  series: Series;
  x: Float64Array;
  y: Float64Array;
}

/** All lines over one column of x. */
export interface Columns {
  lines: Line[];
  x: Float64Array;
  /** Where the axis begins and ends, if not with the data. */
  bounds: Bounds;
  /** One for each line; NaN where it has no point. */
  ys: Float64Array[];
}

export interface Bounds {
  begin: number | undefined;
  end: number | undefined;
}

/** Share of the axis. */
const NEAR_ZERO = 0.05;

interface ColumnOptions {
  /**
   * Weight of the past in [0, 1). A number, also 0, gives each series two lines, so that another
   * one needs no new plot; undefined gives it one.
   */
  smoothing?: number | undefined;
  /** The planned end of x: the empty part is what is left. */
  xEnd?: number | undefined;
}

/** The tables of a chart. Those with the same x share its column: it is compared once. */
export function toTables(series: readonly Series[]): Table[] {
  const tables = series.map(toTable);
  const first = tables[0]?.x ?? new Float64Array();
  return tables.map((table) => (areEqual(table.x, first) ? { ...table, x: first } : table));
}

function toTable(series: Series): Table {
  const { points } = series;
  const x = new Float64Array(points.length);
  const y = new Float64Array(points.length);
  points.forEach((point, index) => {
    x[index] = point[0];
    y[index] = point[1];
  });
  return { series, x, y };
}

export function toColumns(tables: readonly Table[], { smoothing, xEnd }: ColumnOptions): Columns {
  const lines: Line[] = [];
  const x = commonX(tables);
  const ys: Float64Array[] = [];
  for (const { series, x: own, y } of tables) {
    const raw = align(x, own, y);
    if (smoothing !== undefined) {
      lines.push({ series, isRaw: true });
      ys.push(raw);
    }
    lines.push({ series, isRaw: false });
    ys.push(smoothing ? align(x, own, smooth(y, smoothingWeight(smoothing, y.length))) : raw);
  }
  return { lines, x, ys, bounds: boundsOf(x, xEnd) };
}

/** Short series are smoothed less: the mean reaches over at most a thirtieth of them. */
export function smoothingWeight(weight: number, points: number): number {
  return Math.min(weight, 1 - 1 / (1 + points / 30));
}

/** Every x of every table once, in order. */
function commonX(tables: readonly Table[]): Float64Array {
  const first = tables[0]?.x ?? new Float64Array();
  // Series of one job mostly have the same x: then nothing has to be merged.
  const isShared = tables.every(({ x }) => x === first);
  return isShared ? first : merge(tables.map(({ x }) => x));
}

function merge(columns: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(columns.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const column of columns) {
    all.set(column, offset);
    offset += column.length;
  }
  return all.sort().filter((value, index) => index === 0 || value !== all[index - 1]);
}

function areEqual(a: Float64Array, b: Float64Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false;
  return true;
}

/** x begins at 0 where the data nearly does, and reaches to the planned end. */
function boundsOf(x: Float64Array, xEnd: number | undefined): Bounds {
  const first = x[0];
  const last = x.at(-1);
  if (first === undefined || last === undefined) return { begin: undefined, end: undefined };
  const end = Math.max(last, xEnd ?? last);
  return {
    begin: first > 0 && first <= NEAR_ZERO * end ? 0 : undefined,
    end: end > last ? end : undefined,
  };
}

/** Returns the values at their places in `x`, which holds all of `own`, and NaN at the others. */
function align(x: Float64Array, own: Float64Array, values: Float64Array): Float64Array {
  if (x === own) return values;
  const column = new Float64Array(x.length).fill(NaN);
  let at = 0;
  own.forEach((value, index) => {
    while (at < x.length && x[at] !== value) at += 1;
    column[at] = values[index] ?? NaN;
  });
  return column;
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
