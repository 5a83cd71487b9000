/**
 * Curves with direct labels, a cursor that charts of one group share, zoom by dragging (a double
 * click shows all again), and their data as a table on request. On canvas: 10⁵ points are drawn
 * in one frame.
 */

import "uplot/dist/uPlot.min.css";

import { useState, type ReactNode } from "react";

import { Button } from "@/components/controls/Button";
import { formatSignificant } from "@/format/numbers";

import styles from "./charts.module.css";
import type { Mark } from "./annotations";
import { ChartData } from "./ChartData";
import { colorToken } from "./options";
import type { Series } from "./series";
import { usePlot, type EndLabel, type PlotInput } from "./usePlot";

export interface LineChartProps {
  title: string;
  /** Unit and what x is: "%, by epoch". */
  unit?: string;
  /** The chart as one sentence, for a screen reader. */
  description: string;
  series: readonly Series[];
  xLabel: string;
  /** Bounds of y: accuracies are 0 to 100. Without them those of the data. */
  yRange?: readonly [number, number];
  log?: boolean;
  /** Weight of the past in [0, 1), for charts whose raw line stays below a smoothed one. */
  smoothing?: number;
  /** The planned end of x: the empty part is what is left. */
  xEnd?: number;
  group?: string;
  height?: number;
  /** Vertical lines with a word each: "best". */
  marks?: readonly Mark[];
  /** The part of x that is shown, where the page holds it; then `onZoom` is told another. */
  xRange?: readonly [number, number];
  /** Called with a new part of x, undefined for all of it. */
  onZoom?: (range: readonly [number, number] | undefined) => void;
  format?: (value: number) => string;
  /** Controls beside the title. */
  children?: ReactNode;
}

export function LineChart(props: LineChartProps) {
  const { title, unit, description, series, height = 190, format = formatSignificant } = props;
  const [isTableOpen, setTableOpen] = useState(false);
  const input: PlotInput = { ...props, height, format };
  const { container, labels, cursorX } = usePlot(input);
  return (
    <figure className={styles.chart}>
      <figcaption className={styles.title}>
        <h3>{title}</h3>
        {unit !== undefined && <span className={styles.unit}>{unit}</span>}
        {props.children}
        <span className={styles.reading}>
          {cursorX !== undefined && `${props.xLabel} ${formatSignificant(cursorX, 6)}`}
        </span>
        <Button kind="plain" onClick={() => setTableOpen(true)} aria-label={`Data of ${title}`}>
          Data
        </Button>
      </figcaption>
      <div className={styles.frame}>
        <div ref={container} className={styles.plot} role="img" aria-label={description} />
        <EndLabels labels={labels} series={series} />
      </div>
      {isTableOpen && (
        <ChartData
          title={title}
          xLabel={props.xLabel}
          series={series}
          format={format}
          onClose={() => setTableOpen(false)}
        />
      )}
    </figure>
  );
}

interface EndLabelsProps {
  labels: readonly EndLabel[];
  series: readonly Series[];
}

/**
 * The words at the lines' ends: the color as a short stroke, the words in text color. The column is
 * as wide from the beginning as they will be, so that nothing has to be drawn again for them.
 */
function EndLabels({ labels, series }: EndLabelsProps) {
  const worded = series.filter(({ faint = false, points }) => !faint && points.length > 0);
  return (
    <div className={styles.labels} aria-hidden="true">
      {worded.map(({ id, label }) => (
        <span key={id} className={styles.sizer}>
          {label} <b>00.000</b>
        </span>
      ))}
      {labels.map(({ id, label, value, color, dashed, top }) => (
        <span key={id} className={styles.label} style={{ top }}>
          <svg className={styles.stroke} viewBox="0 0 12 4">
            <line
              x1="1"
              x2="11"
              y1="2"
              y2="2"
              style={{ stroke: `var(--${colorToken(color)})` }}
              strokeDasharray={dashed ? "3 2.5" : undefined}
            />
          </svg>
          {label} {value !== undefined && <b>{value}</b>}
        </span>
      ))}
    </div>
  );
}
