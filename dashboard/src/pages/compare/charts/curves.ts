/** Held-out curves as series: each run its line, groups their mean, the rest in the background. */

import type { Series } from "@/charts";

import type { Comparison, Group, Run } from "../runs";
import { meanCurve } from "../runs";

type Points = readonly (readonly [number, number])[];

/** Per cent. */
function percent(points: Points): [number, number][] {
  return points.map(([step, share]) => [step, 100 * share]);
}

/**
 * `hovered` is in full color. Background lines come first, so that the others lie over them.
 */
export function seriesOf(
  runs: readonly Run[],
  groups: readonly Group[],
  curves: ReadonlyMap<string, Points>,
  hovered: string | undefined,
): Series[] {
  const series = runs.flatMap((run): Series[] => {
    const points = curves.get(run.id);
    if (points === undefined) return [];
    const isHovered = run.id === hovered;
    const isFaint = !isHovered && (!run.isChosen || run.group !== undefined);
    const color = isHovered && run.color === "rest" ? "robust" : run.color;
    return [{ id: run.id, label: run.label, points: percent(points), color, faint: isFaint }];
  });
  const means = groups.flatMap(({ label, color, runs: members }): Series[] => {
    const own = members.flatMap(({ id }) => curves.get(id) ?? []);
    const all = members.flatMap(({ id }) => {
      const points = curves.get(id);
      return points === undefined ? [] : [points];
    });
    if (own.length === 0) return [];
    return [{ id: `group ${label}`, label, points: percent(meanCurve(all)), color }];
  });
  return [...series.sort((a, b) => Number(b.faint ?? false) - Number(a.faint ?? false)), ...means];
}

export interface CurveGroup {
  key: string;
  /** As in the specs; undefined where all runs have one, which the comparison does not say. */
  radius: number | undefined;
  ids: readonly string[];
}

/** Runs of one data set that were trained, and so watched, under one threat model. */
export function curveGroups({ jobs, settings }: Pick<Comparison, "jobs" | "settings">) {
  const radii = settings.different.find(({ path }) => path === "adversary.radius")?.values;
  const groups = new Map<string, CurveGroup & { ids: string[] }>();
  jobs.forEach((job, index) => {
    const radius = radii?.[index];
    const known = typeof radius === "number" ? radius : undefined;
    const key = `${job.dataset_id ?? ""} ${known ?? ""}`;
    const group = groups.get(key) ?? { key, radius: known, ids: [] };
    group.ids.push(job.id);
    groups.set(key, group);
  });
  return [...groups.values()];
}
