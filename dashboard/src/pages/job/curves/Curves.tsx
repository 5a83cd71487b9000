/** Curves of a training, live: held-out accuracy, loss by term, effective rank, learning rate. */

import { queryOptions, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { useAddress, type SetParameter } from "@/app/address";
import { get } from "@/api/client";
import type { Job, MetricSeries } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { Button } from "@/components/controls/Button";
import { Segmented } from "@/components/controls/Segmented";
import { Section } from "@/components/page/Section";
import { Empty, QueryState } from "@/components/states/QueryState";

import { eventsQuery } from "../data";
import styles from "../job.module.css";
import { clockOf, makeAxis, type Axis, type AxisName } from "./axes";
import { Charts } from "./Charts";
import { shownMetrics, stepsPerEpoch } from "./series";
import { formatSteps, parseSteps, type StepRange } from "./zoom";

/** Four points for each of about 200 columns of pixels; a zoom asks for its part again. */
const POINTS = 800;
/** The least that the service gives: which metrics there are. */
const NAMES_ONLY = 4;

/** Curves, or those of a part of the steps. */
export function curvesQuery(id: string, names: readonly string[] | undefined, steps?: StepRange) {
  const query = {
    points: names === undefined ? NAMES_ONLY : POINTS,
    ...(names === undefined ? {} : { names: names.join(",") }),
    ...(steps === undefined ? {} : { first_step: steps[0], last_step: steps[1] }),
  };
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "metrics", query),
    queryFn: ({ signal }) =>
      get("/v1/jobs/{job_id}/metrics", { params: { path: { job_id: id }, query }, signal }),
  });
}

/** All curves of a job that the page draws. */
export function useCurves(id: string, steps?: StepRange) {
  const all = useQuery(curvesQuery(id, undefined));
  const names = all.data && shownMetrics(all.data.series.map(({ name }) => name));
  const curves = useQuery({
    ...curvesQuery(id, names ?? [], steps),
    enabled: names !== undefined,
    // Of the same job only: another zoom keeps the old lines until the new ones are there.
    placeholderData: (old, query) => (query?.queryKey[2] === id ? old : undefined),
  });
  return { all, curves };
}

const VIEWS = [
  { value: "raw", label: "Raw" },
  { value: "smooth", label: "Smooth" },
] as const;
const AXES: readonly { value: AxisName; label: string }[] = [
  { value: "epoch", label: "Epoch" },
  { value: "step", label: "Step" },
  { value: "time", label: "Time" },
];

export function Curves({ job, heldOutCount }: { job: Job; heldOutCount: number | undefined }) {
  const { parameters, set } = useAddress();
  const steps = parseSteps(parameters.get("steps"));
  const { all, curves } = useCurves(job.id, steps);
  const view = parameters.get("curves") === "raw" ? "raw" : "smooth";
  const { axis, axes } = useAxis(job, parameters.get("x"), all.data?.series ?? []);
  const zoom = (range: readonly [number, number] | undefined) => {
    const part = range && ([axis.toStep(range[0]), axis.toStep(range[1])] as const);
    set("steps", part && formatSteps(part));
  };
  const more = (
    <Controls {...{ steps, view, axes, axis, set }} metrics={curves.data?.series ?? []} />
  );
  return (
    <Section title="Curves" more={curves.data?.series.length === 0 ? undefined : more}>
      <QueryState query={curves} rows={10}>
        {({ series }) =>
          series.length === 0 ? (
            <NoCurves isOver={job.terminal} />
          ) : (
            <Charts
              job={job}
              metrics={series}
              axis={axis}
              isSmooth={view === "smooth"}
              heldOutCount={heldOutCount}
              steps={steps}
              onZoom={zoom}
            />
          )
        }
      </QueryState>
    </Section>
  );
}

function NoCurves({ isOver }: { isOver: boolean }) {
  return (
    <Empty>
      {isOver
        ? "No curves: it ended before its first epoch."
        : "No curves yet. They begin with the first epoch."}
    </Empty>
  );
}

interface ControlsProps {
  steps: StepRange | undefined;
  view: "raw" | "smooth";
  axis: Axis;
  axes: readonly { value: AxisName; label: string }[];
  metrics: readonly MetricSeries[];
  set: SetParameter;
}

function Controls({ steps, view, axis, axes, metrics, set }: ControlsProps) {
  return (
    <div className={styles.controls}>
      {steps === undefined ? (
        <LastTenth metrics={metrics} onZoom={(part) => set("steps", part)} />
      ) : (
        <Button onClick={() => set("steps", undefined)}>Show all</Button>
      )}
      <Segmented
        label="Smoothing"
        options={VIEWS}
        value={view}
        onChange={(value) => set("curves", value === "raw" ? value : undefined)}
      />
      <Segmented
        label="Horizontal axis"
        options={axes}
        value={axis.name}
        onChange={(value) => set("x", value === "epoch" ? undefined : value)}
      />
    </div>
  );
}

/** The axis of the address, as far as the job has it, and those that it has. */
function useAxis(job: Job, wish: string | null, metrics: readonly MetricSeries[]) {
  const events = useQuery(eventsQuery(job.id)).data;
  const perEpoch = stepsPerEpoch(metrics);
  const clock = useMemo(
    () => (events?.isComplete === true ? clockOf(events.events) : []),
    [events],
  );
  return useMemo(() => {
    const known = { stepsPerEpoch: perEpoch, clock };
    const name = AXES.find(({ value }) => value === wish)?.value ?? "epoch";
    const axes = AXES.filter(({ value }) => makeAxis(value, known).name === value);
    const axis: Axis = makeAxis(name, known);
    return { axis, axes };
  }, [perEpoch, clock, wish]);
}

interface LastTenthProps {
  metrics: readonly MetricSeries[];
  onZoom: (part: string) => void;
}

/** A zoom for the keyboard: dragging over a chart chooses any other part. */
function LastTenth({ metrics, onZoom }: LastTenthProps) {
  const last = Math.max(0, ...metrics.map(({ points }) => points.at(-1)?.[0] ?? 0));
  if (last < 100) return null;
  return <Button onClick={() => onZoom(formatSteps([0.9 * last, last]))}>Last tenth</Button>;
}
