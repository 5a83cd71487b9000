/** The four charts of a training. They share their cursor and their zoom. */

import { useMemo } from "react";

import type { Job, MetricSeries } from "@/api/queries";
import { LineChart, type LineChartProps, type Mark, type Series } from "@/charts";
import { Column, Columns } from "@/components/page/Section";
import { formatNumber, formatSignificant, plural } from "@/format/numbers";

import { trainingSpec } from "../subject";
import type { Axis } from "./axes";
import {
  fromZero,
  heldOutOf,
  heldOutSeries,
  lossSeries,
  rankSeries,
  rateSeries,
  stepsPerEpoch,
} from "./series";
import type { StepRange } from "./zoom";

const SMOOTHING = 0.8;
const TALL = 200;
const LOW = 120;
const ACCURACY: readonly [number, number] = [0, 100];

interface ChartsProps {
  job: Job;
  metrics: readonly MetricSeries[];
  axis: Axis;
  isSmooth: boolean;
  heldOutCount: number | undefined;
  steps: StepRange | undefined;
  onZoom: NonNullable<LineChartProps["onZoom"]>;
}

export function Charts(props: ChartsProps) {
  const { metrics, axis } = props;
  const lines = useMemo(
    () => ({
      heldOut: heldOutSeries(metrics, axis),
      loss: lossSeries(metrics, axis),
      rank: rankSeries(metrics, axis),
      rate: rateSeries(metrics, axis),
    }),
    [metrics, axis],
  );
  const smoothing = props.isSmooth ? SMOOTHING : 0;
  const shared: Shared = { ...useCommon(props), smoothing };
  const by = axis.name === "time" ? "by seconds of training" : `by ${axis.name}`;
  return (
    <Columns>
      <Column span={6}>
        <HeldOutChart {...props} shared={shared} lines={lines.heldOut} by={by} />
      </Column>
      <Column span={6}>
        <LossChart shared={shared} lines={lines.loss} by={by} />
      </Column>
      {lines.rank.length > 0 && (
        <Column span={6}>
          <RankChart shared={shared} lines={lines.rank} by={by} />
        </Column>
      )}
      {lines.rate.length > 0 && (
        <Column span={6}>
          <RateChart shared={shared} lines={lines.rate} by={by} />
        </Column>
      )}
    </Columns>
  );
}

type Shared = Pick<LineChartProps, "xLabel" | "group" | "onZoom" | "xEnd" | "xRange" | "smoothing">;

interface ChartProps {
  shared: Shared;
  lines: readonly Series[];
  /** "by epoch". */
  by: string;
}

function HeldOutChart(props: ChartsProps & ChartProps) {
  const { shared, lines, by, metrics, heldOutCount } = props;
  const images = heldOutCount === undefined ? "" : `, ${plural(heldOutCount, "image")}`;
  return (
    <LineChart
      {...shared}
      title="Held-out accuracy"
      unit={`%, ${by}${images}`}
      description={heldOutSentence(metrics, by)}
      series={lines}
      yRange={ACCURACY}
      height={TALL}
      marks={useBestMark(props)}
      format={oneDecimal}
    />
  );
}

function LossChart({ shared, lines, by }: ChartProps) {
  const isMean = lines[0]?.id.startsWith("epoch_") ?? false;
  return (
    <LineChart
      {...shared}
      title={lines.length > 1 ? "Loss by term" : "Loss"}
      unit={`log scale, ${isMean ? "epoch mean" : "of each step"}`}
      description={`Loss ${by}: ${lines.map(({ label }) => label).join(", ")}`}
      series={lines}
      log
      height={TALL}
    />
  );
}

function RankChart({ shared, lines, by }: ChartProps) {
  const yRange = useMemo(() => fromZero(lines), [lines]);
  return (
    <LineChart
      {...shared}
      title="Effective rank"
      unit="of penultimate features"
      description={`Effective rank of penultimate features ${by}`}
      series={lines}
      yRange={yRange}
      height={LOW}
      format={oneDecimal}
    />
  );
}

function RateChart({ shared, lines, by }: ChartProps) {
  const yRange = useMemo(() => fromZero(lines), [lines]);
  return (
    <LineChart
      {...shared}
      smoothing={0}
      title="Learning rate"
      description={`Learning rate ${by}`}
      series={lines}
      yRange={yRange}
      height={LOW}
      format={(value) => formatSignificant(value, 2)}
    />
  );
}

function oneDecimal(value: number): string {
  return formatNumber(value, 1);
}

/** What all four share: axis, zoom, cursor, the planned end. */
function useCommon({ job, axis, steps, onZoom, metrics }: ChartsProps) {
  const perEpoch = stepsPerEpoch(metrics);
  const epochs = trainingSpec(job)?.schedule.epochs;
  return useMemo(() => {
    const total = job.phase === "training" ? job.progress?.of : undefined;
    const planned =
      total ?? (perEpoch !== undefined && epochs !== undefined ? perEpoch * epochs : undefined);
    const isOpen = !job.terminal && planned !== undefined && steps === undefined;
    return {
      xLabel: axis.name === "time" ? "second" : axis.name,
      group: "job",
      onZoom,
      ...(isOpen ? { xEnd: axis.toX(planned) } : {}),
      ...(steps === undefined ? {} : { xRange: [axis.toX(steps[0]), axis.toX(steps[1])] as const }),
    };
  }, [job, axis, steps, onZoom, perEpoch, epochs]);
}

/** Of the whole training: a part of it has a best epoch of its own, which means nothing. */
function useBestMark({ metrics, axis, steps }: ChartsProps): Mark[] {
  return useMemo(() => {
    const points = metrics.find(({ name }) => name === "epoch_held_out_robust")?.points ?? [];
    if (points.length < 2 || steps !== undefined) return [];
    const best = points.reduce((a, b) => (b[1] > a[1] ? b : a));
    return [{ x: axis.toX(best[0]), label: "best" }];
  }, [metrics, axis, steps]);
}

function heldOutSentence(metrics: readonly MetricSeries[], by: string): string {
  const robust = heldOutOf(metrics);
  if (robust === undefined) return `Held-out accuracy ${by}`;
  return `Held-out accuracy ${by}: robust ${formatNumber(100 * robust.now, 1)} % at its end`;
}
