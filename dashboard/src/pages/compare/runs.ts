/** What runs are called, which color they have, and which of them belong together. */

import type { SeriesColor } from "@/charts";
import type { components } from "@/api/generated/schema";
import { jobTitle, methodTitle, shortened, shortId } from "@/format/names";
import { formatRadius } from "@/format/threat_model";

import type { Grouping } from "./address";

type Schemas = components["schemas"];
export type Comparison = Schemas["ComparisonResponse"];
export type ComparedJob = Schemas["ComparedJob"];
export type ComparedSetting = Schemas["ComparedSetting"];
export type Section = Schemas["ComparisonSection"];
export type Row = Schemas["ComparisonRow"];
export type Difference = Schemas["DifferenceValue"];

export const COLORS = 8;
/** Of a name in sentences, charts and heads; its link has all of it. */
const MOST_LETTERS = 40;

export interface Run {
  id: string;
  label: string;
  job: ComparedJob;
  color: SeriesColor;
  /** In color and with words; the others stay in the background. */
  isChosen: boolean;
  group: string | undefined;
}

/** The shortest names that tell the runs apart: methods, then with seeds, then jobs' names. */
export function labelsOf(
  jobs: readonly ComparedJob[],
  different: readonly ComparedSetting[],
): string[] {
  const seeds = different.find(({ path }) => path === "seed")?.values;
  const withSeed = (text: string, index: number) => {
    const seed = seeds?.[index];
    return typeof seed === "number" ? `${text} seed ${seed}` : text;
  };
  const names = jobs.map((job) => shortened(jobTitle(job), MOST_LETTERS));
  const methods = jobs.map(({ method }, index) =>
    method === null ? (names[index] ?? "") : methodTitle(method),
  );
  const radii = different.find(({ path }) => path === "adversary.radius")?.values;
  const withRadius = (text: string, index: number) => {
    const radius = radii?.[index];
    return typeof radius === "number" ? `${text} at ${formatRadius(radius)}` : text;
  };
  const lines = jobs.map((job, index) =>
    shortened(lineOf(job) ?? methods[index] ?? "", MOST_LETTERS),
  );
  const candidates = [
    methods,
    methods.map(whereShared(methods, withSeed)),
    methods.map(whereShared(methods, withRadius)),
    lines,
    lines.map(whereShared(lines, withSeed)),
    names,
  ];
  const ids = names.map((name, index) => `${name} (${shortId(jobs[index]?.id ?? "")})`);
  return candidates.find((labels) => new Set(labels).size === labels.length) ?? ids;
}

/** Only texts that several runs have need more words. */
function whereShared(texts: readonly string[], more: (text: string, index: number) => string) {
  return (text: string, index: number) =>
    texts.indexOf(text) === texts.lastIndexOf(text) ? text : more(text, index);
}

/** A line that is only a method has the method's own spelling. */
function lineOf({ sweep_line: line, method }: ComparedJob): string | null {
  return line !== null && line === method ? methodTitle(method) : line;
}

function groupOf(job: ComparedJob, grouping: Grouping): string | undefined {
  if (grouping === "none") return undefined;
  const method = job.method === null ? jobTitle(job) : methodTitle(job.method);
  return grouping === "line" ? (lineOf(job) ?? method) : method;
}

/** Groupings in which a group has several runs, and there are several groups. */
export function possibleGroupings(jobs: readonly ComparedJob[]): Grouping[] {
  const sizes = (grouping: Grouping) => new Set(jobs.map((job) => groupOf(job, grouping))).size;
  const methods = sizes("method");
  const lines = sizes("line");
  const isUseful = (groups: number) => groups > 1 && groups < jobs.length;
  const groupings: Grouping[] = [];
  if (isUseful(methods)) groupings.push("method");
  const hasLines = jobs.some(({ sweep_line: line }) => line !== null);
  if (hasLines && isUseful(lines) && lines !== methods) groupings.push("line");
  return groupings;
}

/** The address' grouping; without one, a possible one where there are more runs than colors. */
export function chosenGrouping(jobs: readonly ComparedJob[], wish: Grouping | undefined): Grouping {
  const possible = possibleGroupings(jobs);
  if (wish !== undefined) return possible.includes(wish) ? wish : "none";
  const few = possible.filter(
    (grouping) => new Set(jobs.map((job) => groupOf(job, grouping))).size <= COLORS,
  );
  return jobs.length > COLORS ? (few[0] ?? "none") : "none";
}

/** Runs in the order of the request; a color belongs to a run, or to its group, on all the page. */
export function runsOf(
  comparison: Pick<Comparison, "jobs" | "settings">,
  grouping: Grouping,
  pins: readonly string[],
): Run[] {
  const { jobs, settings } = comparison;
  const labels = labelsOf(jobs, settings.different);
  const groups = [...new Set(jobs.map((job) => groupOf(job, grouping)))];
  return jobs.map((job, index) => {
    const group = groupOf(job, grouping);
    const place =
      group !== undefined
        ? groups.indexOf(group)
        : jobs.length <= COLORS
          ? index
          : pins.slice(0, COLORS).indexOf(job.id);
    const color = colorAt(place);
    return {
      id: job.id,
      label: labels[index] ?? job.id,
      job,
      color,
      isChosen: color !== "rest",
      group,
    };
  });
}

function colorAt(place: number): SeriesColor {
  return place >= 0 && place < COLORS ? ((place + 1) as SeriesColor) : "rest";
}

/** A section's rows in order; a value that is missing is last in both directions. */
export function sortedRows(rows: readonly Row[], sort: string): Row[] {
  const sign = sort.startsWith("-") ? -1 : 1;
  const key = sort.replace(/^-/, "");
  const value = (row: Row) => row.results[key]?.value;
  return [...rows].sort((a, b) => {
    const first = value(a);
    const second = value(b);
    if (first === undefined || second === undefined) {
      return Number(first === undefined) - Number(second === undefined);
    }
    return sign * (first - second);
  });
}

export interface Group {
  label: string;
  color: SeriesColor;
  runs: readonly Run[];
}

export function groupsOf(runs: readonly Run[]): Group[] {
  const groups = new Map<string, Group & { runs: Run[] }>();
  for (const run of runs) {
    if (run.group === undefined) continue;
    const group = groups.get(run.group) ?? { label: run.group, color: run.color, runs: [] };
    group.runs.push(run);
    groups.set(run.group, group);
  }
  return [...groups.values()];
}

export interface Spread {
  mean: number;
  /** Of the sample; undefined for a single value. */
  deviation: number | undefined;
  count: number;
}

export function spreadOf(values: readonly number[]): Spread | undefined {
  const count = values.length;
  if (count === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count === 1) return { mean, deviation: undefined, count };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (count - 1)), count };
}

/** Means of curves at the steps that all of them have. */
export function meanCurve(curves: readonly (readonly (readonly [number, number])[])[]) {
  const sums = new Map<number, { sum: number; count: number }>();
  for (const curve of curves) {
    for (const [step, value] of curve) {
      const entry = sums.get(step) ?? { sum: 0, count: 0 };
      sums.set(step, { sum: entry.sum + value, count: entry.count + 1 });
    }
  }
  return [...sums]
    .filter(([, { count }]) => count === curves.length)
    .map(([step, { sum, count }]): [number, number] => [step, sum / count])
    .sort(([a], [b]) => a - b);
}
