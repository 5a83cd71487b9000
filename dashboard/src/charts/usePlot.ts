/** One uPlot for the life of a component: new data is set, a new form makes a new plot. */

import { useEffect, useMemo, useRef, useState, type RefObject } from "react";
import uPlot from "uplot";

import { drawAnnotations, type Mark } from "./annotations";
import { LABEL_GAP, pushApart } from "./labels";
import { paletteOf, plotOptions } from "./options";
import {
  lastIndex,
  toColumns,
  valueBefore,
  type Columns,
  type Series,
  type SeriesColor,
} from "./series";
import { useThemeVersion } from "./useThemeVersion";

export interface EndLabel {
  id: string;
  label: string;
  value: string | undefined;
  color: SeriesColor;
  dashed: boolean;
  /** px from the top of the plot. */
  top: number;
}

export interface PlotInput {
  series: readonly Series[];
  yRange?: readonly [number, number];
  log?: boolean;
  smoothing?: number;
  xEnd?: number;
  group?: string;
  height: number;
  format: (value: number) => string;
  marks?: readonly Mark[];
  xRange?: readonly [number, number];
  onZoom?: (range: readonly [number, number] | undefined) => void;
}

export interface PlotState {
  container: RefObject<HTMLDivElement | null>;
  labels: readonly EndLabel[];
  /** x under the cursor. */
  cursorX: number | undefined;
}

export function usePlot(input: PlotInput): PlotState {
  const { series, smoothing = 0, xEnd } = input;
  const container = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [labels, setLabels] = useState<readonly EndLabel[]>([]);
  const [cursorX, setCursorX] = useState<number>();
  const theme = useThemeVersion();
  const columns = useMemo(() => toColumns(series, { smoothing, xEnd }), [series, smoothing, xEnd]);
  const latest = useRef({ columns, input });
  useEffect(() => {
    latest.current = { columns, input };
  }, [columns, input]);

  const { yRange, log, group, height, xRange, marks } = input;
  const look = [yRange, log, group, height, theme, xRange, marks];
  const form = JSON.stringify([formOf(columns), look]);
  useEffect(() => {
    const element = container.current;
    if (element === null) return undefined;
    const show = (u: uPlot) => {
      const index = u.cursor.idx;
      setCursorX(index == null ? undefined : u.data[0][index]);
      const next = endLabels(u, latest.current.columns, latest.current.input.format);
      setLabels((old) => (JSON.stringify(old) === JSON.stringify(next) ? old : next));
    };
    const made = makePlot(element, () => latest.current, show);
    plot.current = made.plot;
    return () => {
      made.remove();
      plot.current = undefined;
    };
  }, [form]);

  useEffect(() => plot.current?.setData(columns.data), [columns]);
  return { container, labels, cursorX };
}

/** Draws into `element`, as wide as it is; `show` is called whenever ends or cursor have moved. */
function makePlot(
  element: HTMLElement,
  latest: () => { columns: Columns; input: PlotInput },
  show: (plot: uPlot) => void,
): { plot: uPlot; remove: () => void } {
  const { columns, input } = latest();
  const { height, yRange, log = false, group, xRange, marks = [] } = input;
  const width = () => Math.max(1, element.clientWidth);
  const palette = paletteOf(element);
  const { lines, data } = columns;
  const look = { lines, width: width(), height, palette, yRange, log, group, xRange };
  const onAxes = (u: uPlot) => {
    const bands = latest().input.series.flatMap(({ band }) => (band === undefined ? [] : [band]));
    drawAnnotations(u, palette, marks, bands);
  };
  const onZoom =
    input.onZoom && ((range?: readonly [number, number]) => latest().input.onZoom?.(range));
  const hooks = { onDraw: show, onCursor: show, onAxes, onZoom, hasMarks: marks.length > 0 };
  const plot = new uPlot(plotOptions({ ...look, ...hooks }), data, element);
  const observer = new ResizeObserver(() => plot.setSize({ width: width(), height }));
  observer.observe(element);
  const remove = () => {
    observer.disconnect();
    plot.destroy();
  };
  return { plot, remove };
}

/** What makes a new plot necessary: the lines, not their values. */
function formOf({ lines }: Columns): unknown {
  return lines.map(({ series, isRaw }) => [
    series.id,
    series.label,
    series.color,
    series.dashed,
    series.faint,
    isRaw,
  ]);
}

/** A smoothed line follows its raw one. */
function isSmoothed({ lines }: Columns, index: number): boolean {
  return lines[index - 1]?.isRaw ?? false;
}

/** Each line's value, at the cursor or at its end, beside where its line ends. */
function endLabels(u: uPlot, columns: Columns, format: PlotInput["format"]): EndLabel[] {
  const cursor = u.cursor.idx;
  const ends = columns.lines.flatMap((line, index) => {
    const column = columns.data[index + 1] ?? [];
    const last = lastIndex(column);
    const end = column[last];
    if (line.isRaw || line.series.faint || end == null) return [];
    // The words say what was measured, not its running mean.
    const raw = isSmoothed(columns, index) ? (columns.data[index] ?? column) : column;
    const value = valueBefore(raw, cursor == null ? last : Math.min(cursor, last));
    return [{ series: line.series, value, y: u.valToPos(end, "y") }];
  });
  const top = u.over.offsetTop;
  const height = u.over.clientHeight;
  const tops = pushApart(
    ends.map(({ y }) => y),
    LABEL_GAP / 2,
    height - LABEL_GAP / 2,
  );
  return ends.map(({ series, value }, index) => ({
    id: series.id,
    label: series.label,
    value: value === undefined ? undefined : format(value),
    color: series.color,
    dashed: series.dashed ?? false,
    top: Math.round(top + (tops[index] ?? 0)),
  }));
}
