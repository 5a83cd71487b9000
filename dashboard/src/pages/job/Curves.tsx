import { useQuery } from "@tanstack/react-query";
import { Suspense, useMemo, useState } from "react";

import { metricsQuery, type Job, type MetricSeries } from "@/api/queries";
import { LineChart, type Series } from "@/charts";
import { Segmented } from "@/components/controls/Segmented";
import { Column, Columns, Section } from "@/components/page/Section";
import { Empty, Loading, QueryState } from "@/components/states/QueryState";
import { formatNumber } from "@/format/numbers";

const NAMES = ["epoch_held_out_clean", "epoch_held_out_robust", "epoch_loss"];
const POINTS = 2000;
const SMOOTHING = 0.8;
const GROUP = "job";
const VIEWS = [
  { value: "raw", label: "Raw" },
  { value: "smooth", label: "Smooth" },
] as const;

/** Held-out accuracies and the loss, by step. */
export function Curves({ job }: { job: Job }) {
  const metrics = useQuery(metricsQuery(job.id, NAMES, POINTS));
  const [view, setView] = useState<"raw" | "smooth">("smooth");
  const more = <Segmented label="Curves" options={VIEWS} value={view} onChange={setView} />;
  return (
    <Section title="Curves" more={more}>
      <QueryState query={metrics}>
        {({ series }) =>
          series.length === 0 ? (
            <Empty>No curves yet. They begin with the first epoch.</Empty>
          ) : (
            <Charts job={job} metrics={series} smoothing={view === "smooth" ? SMOOTHING : 0} />
          )
        }
      </QueryState>
    </Section>
  );
}

interface ChartsProps {
  job: Job;
  metrics: MetricSeries[];
  smoothing: number;
}

function Charts({ job, metrics, smoothing }: ChartsProps) {
  const heldOut = useMemo(() => heldOutSeries(metrics), [metrics]);
  const loss = useMemo(() => lossSeries(metrics), [metrics]);
  const { phase, progress } = job;
  const end = phase === "training" && progress?.of != null ? { xEnd: progress.of } : {};
  const shared = { xLabel: "step", group: GROUP, smoothing, ...end };
  return (
    <Suspense fallback={<Loading rows={6} />}>
      <Columns>
        <Column span={6}>
          <LineChart
            {...shared}
            title="Held-out accuracy"
            unit="%, by step"
            description="Clean and robust accuracy on held-out images, by step"
            series={heldOut}
            yRange={[0, 100]}
            format={(value) => formatNumber(value, 1)}
          />
        </Column>
        <Column span={6}>
          <LineChart
            {...shared}
            title="Loss"
            unit="log scale, epoch mean"
            description="Mean loss of each epoch, by step"
            series={loss}
            log
          />
        </Column>
      </Columns>
    </Suspense>
  );
}

function heldOutSeries(metrics: readonly MetricSeries[]): Series[] {
  return (["clean", "robust"] as const).flatMap((color) => {
    const series = metrics.find(({ name }) => name === `epoch_held_out_${color}`);
    if (series === undefined) return [];
    const points = series.points.map(([step, share]) => [step, 100 * share] as const);
    return [{ id: color, label: color, color, points }];
  });
}

function lossSeries(metrics: readonly MetricSeries[]): Series[] {
  const series = metrics.find(({ name }) => name === "epoch_loss");
  return series === undefined
    ? []
    : [{ id: "loss", label: "total", color: "clean", points: series.points }];
}
