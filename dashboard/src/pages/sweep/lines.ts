/** Which settings a line of the table has, and lines as curves over one of them. Pure. */

import type { SweepDetail, Table } from "./data";

const SEEDS = new Set(["seed", "evaluation.seed"]);

/** Values of rows and axes but the seeds, for each line in the table's order. */
export function settingsOfLines(spec: SweepDetail["spec"]): Record<string, unknown>[] {
  const rows = spec.rows.length > 0 ? spec.rows.map(({ name }) => name) : [undefined];
  const axes = Object.entries(spec.axes ?? {}).filter(([path]) => !SEEDS.has(path));
  let lines: Record<string, unknown>[] = rows.map((row) => (row === undefined ? {} : { row }));
  for (const [path, values] of axes) {
    lines = lines.flatMap((line) => values.map((value) => ({ ...line, [path]: value })));
  }
  return lines;
}

/** Axes with several numbers. */
export function numericAxes(spec: SweepDetail["spec"]): string[] {
  return Object.entries(spec.axes ?? {})
    .filter(([path, values]) => !SEEDS.has(path) && new Set(values).size > 1)
    .filter(([, values]) => values.every((value) => typeof value === "number"))
    .map(([path]) => path);
}

export interface AxisPoint {
  x: number;
  mean: number;
  sd: number | null;
  n: number;
}

export interface AxisSeries {
  id: string;
  label: string;
  points: AxisPoint[];
}

/** One curve for each combination of the other settings; empty where lines are unknown. */
export function curvesOver(
  spec: SweepDetail["spec"],
  table: Table,
  axis: string,
  measure: string,
): AxisSeries[] {
  const settings = settingsOfLines(spec);
  if (settings.length !== table.lines.length) return [];
  const curves = new Map<string, AxisSeries>();
  table.lines.forEach((line, index) => {
    const { [axis]: x, ...others } = settings[index] ?? {};
    const cell = line.cells[measure];
    if (typeof x !== "number" || cell === undefined) return;
    const label = labelOf(others);
    const curve = curves.get(label) ?? { id: label, label, points: [] };
    curve.points.push({ x, mean: cell.mean, sd: cell.sd, n: cell.n });
    curves.set(label, curve);
  });
  return [...curves.values()].map((curve) => ({
    ...curve,
    points: curve.points.sort((a, b) => a.x - b.x),
  }));
}

function labelOf(settings: Record<string, unknown>): string {
  const words = Object.entries(settings).map(([path, value]) =>
    path === "row" || path === "method" ? textOf(value) : `${path} ${textOf(value)}`,
  );
  return words.length === 0 ? "all" : words.join(", ");
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "name" in value) return String(value.name);
  return JSON.stringify(value);
}
