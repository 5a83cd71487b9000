/** uPlot's options for the look of all charts: grid lines across only, no frame, no legend. */

import type uPlot from "uplot";

import { formatNumber, formatSignificant } from "@/format/numbers";

import { MARK_SPACE } from "./annotations";
import type { Line, SeriesColor } from "./series";

/** Half of the last number on the axis of x, "100,000". */
const RIGHT_MARGIN = 24;
const AXIS_SIZE = 40;
const POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Colors of the theme that is on, for the canvas. */
export type Palette = (name: string) => string;

export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** The design token of a series' color. */
export function colorToken(color: SeriesColor): string {
  if (typeof color === "number") return `data-${color}`;
  return color === "rest" ? "data-rest" : color;
}

export interface ChartOptions {
  lines: readonly Line[];
  width: number;
  height: number;
  palette: Palette;
  /** Bounds of y; without them those of the data. */
  yRange: readonly [number, number] | undefined;
  log: boolean;
  /** Charts of one group share their cursor and their zoom. */
  group: string | undefined;
  onDraw: (plot: uPlot) => void;
  onCursor: (plot: uPlot) => void;
  /** After the axes, before the lines. */
  onAxes: (plot: uPlot) => void;
  hasMarks: boolean;
  xRange: readonly [number, number] | undefined;
  /** The plot does not zoom by itself: it tells which part of x was chosen. */
  onZoom: (range: readonly [number, number] | undefined) => void;
}

export function plotOptions(options: ChartOptions): uPlot.Options {
  const { palette, yRange, log, group, xRange, onZoom } = options;
  return {
    width: options.width,
    height: options.height,
    padding: [options.hasMarks ? MARK_SPACE : 8, RIGHT_MARGIN, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: false, ...(xRange === undefined ? {} : { range: [xRange[0], xRange[1]] }) },
      y: {
        // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- uPlot's enum exists in its types only: 1 linear, 3 logarithmic
        distr: log ? 3 : 1,
        ...(yRange === undefined ? {} : { range: [yRange[0], yRange[1]] }),
      },
    },
    axes: axes(palette, log),
    series: [{}, ...options.lines.map((line) => lineOptions(line, palette))],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => showAll(onZoom) },
      points: {
        size: 8,
        width: 2,
        fill: () => palette("canvas"),
        show: (plot, index) => cursorPoint(plot, options.lines[index - 1]),
      },
      ...(group === undefined ? {} : { sync: { key: group, setSeries: false } }),
    },
    hooks: {
      drawAxes: [options.onAxes],
      draw: [options.onDraw],
      setCursor: [options.onCursor],
      setSelect: [(plot: uPlot) => zoomTo(plot, onZoom)],
    },
  };
}

type OnZoom = ChartOptions["onZoom"];

function showAll(onZoom: OnZoom): null {
  onZoom(undefined);
  return null;
}

/** Tells the part of x that was dragged over, and removes its shade. */
function zoomTo(plot: uPlot, onZoom: OnZoom): void {
  const { left, width } = plot.select;
  if (width <= 0) return;
  const range = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")] as const;
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom(range);
}

/** The raw line has no ring of its own. */
function cursorPoint(_plot: uPlot, line: Line | undefined): HTMLElement {
  const point = document.createElement("div");
  if (line?.isRaw || line?.series.faint) point.hidden = true;
  return point;
}

function lineOptions({ series, isRaw }: Line, palette: Palette): uPlot.Series {
  const color = palette(colorToken(series.color));
  return {
    label: series.label,
    stroke: color,
    width: isRaw || series.faint ? 1 : 1.75,
    alpha: isRaw ? 0.28 : series.faint ? 0.45 : 1,
    spanGaps: true,
    points: { show: (_plot, _index, from, to) => to - from < 2 },
    ...(series.dashed ? { dash: [5, 4] } : {}),
  };
}

function axes(palette: Palette, log: boolean): uPlot.Axis[] {
  const text = { stroke: palette("text-3"), font: `12px ${palette("sans")}` };
  return [
    {
      ...text,
      grid: { show: false },
      ticks: { show: false },
      border: { show: true, stroke: palette("line-strong"), width: 1 },
      size: 26,
      gap: 6,
      space: 90,
      values: (_plot, ticks) => ticks.map(axisNumber),
    },
    {
      ...text,
      grid: { stroke: palette("grid"), width: 1, ...(log ? { filter: powersOnly } : {}) },
      ticks: { show: false },
      size: AXIS_SIZE,
      gap: 6,
      space: 36,
      values: (_plot, ticks) => ticks.map((tick) => (log ? powerOfTen(tick) : axisNumber(tick))),
    },
  ];
}

function axisNumber(value: number): string {
  return Math.abs(value) >= 1000 ? formatNumber(value) : formatSignificant(value, 6);
}

/** A log axis has a grid line for each power of ten. */
function powersOnly(_plot: uPlot, splits: number[]): (number | null)[] {
  return splits.map((split) => (powerOfTen(split) === "" ? null : split));
}

/** 10⁻³ for powers of ten, nothing for what is between them. */
export function powerOfTen(value: number | null): string {
  if (value === null || value <= 0) return "";
  const exponent = Math.log10(value);
  const whole = Math.round(exponent);
  if (Math.abs(exponent - whole) > 1e-6) return "";
  if (whole === 0) return "1";
  if (whole === 1) return "10";
  const digits = String(Math.abs(whole)).replace(/\d/g, (digit) => POWERS[Number(digit)] ?? "");
  return `10${whole < 0 ? "⁻" : ""}${digits}`;
}
