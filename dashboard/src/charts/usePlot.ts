/** One uPlot for the life of a component: new data is set, a new form makes a new plot. */

import { useEffect, useMemo, useRef, useState, type RefObject } from "react";
import uPlot from "uplot";

import { drawAnnotations, type Mark } from "./annotations";
import { LABEL_GAP, pushApart } from "./labels";
import { paletteOf, plotOptions, type Palette } from "./options";
import { thinToPixels } from "./pixels";
import {
  lastIndex,
  toColumns,
  toTables,
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

type Range = readonly [number, number];

/** What a plot draws, and in which part of x. */
interface Content {
  columns: Columns;
  input: PlotInput;
  xRange: Range | undefined;
  onZoom: (range: Range | undefined) => void;
}

export function usePlot(input: PlotInput): PlotState {
  const { series, smoothing, xEnd } = input;
  const container = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot>(undefined);
  const [labels, setLabels] = useState<readonly EndLabel[]>([]);
  const [cursorX, setCursorX] = useState<number>();
  const [zoom, setZoom] = useState<Range>();
  const theme = useThemeVersion();
  const tables = useMemo(() => toTables(series), [series]);
  const columns = useMemo(() => toColumns(tables, { smoothing, xEnd }), [tables, smoothing, xEnd]);
  const { yRange, log, group, height, marks, xRange = zoom, onZoom = setZoom } = input;
  const latest = useRef<Content>({ columns, input, xRange, onZoom });
  useEffect(() => {
    latest.current = { columns, input, xRange, onZoom };
  }, [columns, input, xRange, onZoom]);

  const look = [yRange, log, group, height, theme, xRange, marks];
  const form = JSON.stringify([formOf(columns), look]);
  useEffect(() => {
    const element = container.current;
    if (element === null) return undefined;
    const show = (u: uPlot) => {
      const index = u.cursor.idx;
      setCursorX(index == null ? undefined : u.data[0][index]);
      const next = endLabels(u, latest.current);
      setLabels((old) => (JSON.stringify(old) === JSON.stringify(next) ? old : next));
    };
    const made = makePlot(element, () => latest.current, show);
    plot.current = made;
    return () => {
      made.remove();
      plot.current = undefined;
    };
  }, [form]);

  useEffect(() => plot.current?.update(), [columns]);
  return { container, labels, cursorX };
}

interface Plot {
  /** Draws the latest columns, unless they are drawn. */
  update: () => void;
  remove: () => void;
}

/** Draws into `element`, as wide as it is; `show` is called whenever ends or cursor have moved. */
function makePlot(element: HTMLElement, latest: () => Content, show: (plot: uPlot) => void): Plot {
  let { columns } = latest();
  const { input, xRange } = latest();
  const width = () => Math.max(1, element.clientWidth);
  const data = () => thinToPixels(columns, xRange, Math.ceil(width() * devicePixelRatio));
  const options = { ...optionsOf(latest, paletteOf(element)), onDraw: show, onCursor: show };
  const plot = new uPlot(plotOptions({ ...options, width: width() }), data(), element);
  const observer = new ResizeObserver(() => {
    if (width() === plot.width) return;
    plot.setData(data());
    plot.setSize({ width: width(), height: input.height });
  });
  observer.observe(element);
  const update = () => {
    if (latest().columns === columns) return;
    columns = latest().columns;
    plot.setData(data());
  };
  const remove = () => {
    observer.disconnect();
    plot.destroy();
  };
  return { update, remove };
}

function optionsOf(latest: () => Content, palette: Palette) {
  const { columns, input, xRange } = latest();
  const { height, yRange, log = false, group, marks = [] } = input;
  const onAxes = (u: uPlot) => {
    const bands = latest().input.series.flatMap(({ band }) => (band === undefined ? [] : [band]));
    drawAnnotations(u, palette, marks, bands);
  };
  const onZoom = (range: Range | undefined) => latest().onZoom(range);
  const look = { lines: columns.lines, height, palette, yRange, log, group, xRange };
  return { ...look, onAxes, onZoom, hasMarks: marks.length > 0 };
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

/** Each line's value, at the cursor or at its end, beside where its line ends. */
function endLabels(u: uPlot, { columns: { lines }, input: { format } }: Content): EndLabel[] {
  const cursor = u.cursor.idx;
  const ends = lines.flatMap((line, index) => {
    const column = u.data[index + 1] ?? [];
    const last = lastIndex(column);
    const end = column[last];
    if (line.isRaw || line.series.faint || end == null) return [];
    // The words say what was measured, not its running mean: a smoothed line follows its raw one.
    const raw = lines[index - 1]?.isRaw ? (u.data[index] ?? column) : column;
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
