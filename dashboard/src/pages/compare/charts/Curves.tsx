/** Held-out robust accuracy of all runs over each other; a chart for each threat model. */

import { useMemo } from "react";

import { LineChart } from "@/charts";
import { Note, Section } from "@/components/page/Section";
import { Failure, Loading } from "@/components/states/QueryState";
import { formatNumber, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import { useCurves, useSpecs } from "../data";
import type { Hover } from "../hover";
import { groupsOf, type Comparison, type Run } from "../runs";
import { curveGroups, seriesOf, type CurveGroup } from "./curves";

const HEIGHT = 278;

interface CurvesProps {
  comparison: Comparison;
  runs: readonly Run[];
  hover: Hover;
}

export function Curves({ comparison, runs, hover }: CurvesProps) {
  const { curves, query } = useCurves(comparison.jobs);
  const groups = useMemo(
    () =>
      curveGroups(comparison)
        .map((group) => ({ ...group, ids: group.ids.filter((id) => curves.has(id)) }))
        .filter(({ ids }) => ids.length > 0),
    [comparison, curves],
  );
  const specs = useSpecs(useMemo(() => groups.flatMap(({ ids }) => ids.slice(0, 1)), [groups]));
  return (
    <Section title="Held-out robust accuracy" note="%, by training step, under PGD-10" span={6}>
      {query.error !== null && <Failure error={query.error} onRetry={() => void query.refetch()} />}
      {query.isLoading && <Loading rows={6} />}
      {!query.isLoading && groups.length === 0 && (
        <Note>No run has been trained here: there are no curves.</Note>
      )}
      {groups.map((group) => (
        <Chart
          key={group.key}
          group={group}
          threat={threatOf(group, specs.get(group.ids[0] ?? "")?.spec)}
          runs={runs}
          curves={curves}
          hover={hover}
        />
      ))}
    </Section>
  );
}

/** "L∞ 0.15": held-out images are attacked as training images are. */
function threatOf({ radius }: CurveGroup, spec: object | undefined): string {
  const own = radius ?? radiusOf(spec);
  return own === undefined ? "" : threatModelTitle({ norm: "linf", radius: own });
}

function radiusOf(spec: object | undefined): number | undefined {
  if (spec === undefined || !("adversary" in spec)) return undefined;
  return (spec.adversary as { radius?: number }).radius;
}

interface ChartProps {
  group: CurveGroup;
  threat: string;
  runs: readonly Run[];
  curves: ReadonlyMap<string, readonly (readonly [number, number])[]>;
  hover: Hover;
}

function Chart({ group, threat, runs, curves, hover }: ChartProps) {
  const { ids } = group;
  const own = useMemo(() => {
    const members = new Set(ids);
    return runs.filter(({ id }) => members.has(id));
  }, [runs, ids]);
  const groups = useMemo(() => groupsOf(own), [own]);
  const isGrouped = groups.length > 0;
  // With a color for each, nothing changes under the pointer.
  const hovered = runs.some(({ color, group: name }) => color === "rest" || name !== undefined)
    ? hover.id
    : undefined;
  const series = useMemo(
    () => seriesOf(own, groups, curves, hovered),
    [own, groups, curves, hovered],
  );
  const title = threat === "" ? "Held-out" : threat;
  return (
    <LineChart
      title={title}
      unit={isGrouped ? "bold: means over the runs of a group" : plural(own.length, "run")}
      description={`Held-out robust accuracy by training step, ${plural(own.length, "run")}`}
      series={series}
      xLabel="step"
      yRange={[0, 100]}
      height={HEIGHT}
      format={formatAccuracy}
    />
  );
}

function formatAccuracy(value: number): string {
  return formatNumber(value, 1);
}
