/** Robust against clean accuracy: points, Pareto front, and where labels have room. */

import type { Group, Row, Run } from "../runs";
import { spreadOf } from "../runs";

/** Per cent. */
export interface Point {
  id: string;
  label: string;
  color: Run["color"];
  clean: number;
  robust: number;
  cleanInterval: readonly [number, number] | undefined;
  robustInterval: readonly [number, number] | undefined;
  isOnFront: boolean;
  isChosen: boolean;
}

export function pointsOf(rows: readonly Row[], runs: readonly Run[], deciding: string): Point[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  return rows.flatMap((row) => {
    const run = byId.get(row.job_id);
    const clean = row.results.clean;
    const robust = row.results[deciding];
    if (run === undefined || clean === undefined || robust === undefined) return [];
    return {
      id: run.id,
      label: run.label,
      color: run.color,
      clean: 100 * clean.value,
      robust: 100 * robust.value,
      cleanInterval: intervalOf(clean),
      robustInterval: intervalOf(robust),
      isOnFront: row.pareto,
      isChosen: run.isChosen && run.group === undefined,
    };
  });
}

function intervalOf({ low, high }: { low: number | null; high: number | null }) {
  return low === null || high === null ? undefined : ([100 * low, 100 * high] as const);
}

/** The mean of each group, as a point without intervals. */
export function groupPoints(points: readonly Point[], groups: readonly Group[]): Point[] {
  const byId = new Map(points.map((point) => [point.id, point]));
  return groups.flatMap(({ label, color, runs }) => {
    const members = runs.flatMap(({ id }) => byId.get(id) ?? []);
    const clean = spreadOf(members.map((point) => point.clean))?.mean;
    const robust = spreadOf(members.map((point) => point.robust))?.mean;
    if (clean === undefined || robust === undefined) return [];
    return {
      id: `group ${label}`,
      label,
      color,
      clean,
      robust,
      cleanInterval: undefined,
      robustInterval: undefined,
      isOnFront: false,
      isChosen: true,
    };
  });
}

/** The front from its least clean accuracy on: the more clean, the less robust. */
export function frontOf(points: readonly Point[]): Point[] {
  return points
    .filter(({ isOnFront }) => isOnFront)
    .sort((a, b) => a.clean - b.clean || b.robust - a.robust);
}

/** Pixels. */
export interface Spot {
  x: number;
  y: number;
  text: string;
}

export interface Placed extends Spot {
  anchor: "start" | "end" | "middle";
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const LETTER = 6.6;
const LINE = 14;
const MARK = 6;
const SIDES = [
  { dx: 9, dy: -9, anchor: "start" },
  { dx: 9, dy: 13, anchor: "start" },
  { dx: -9, dy: -9, anchor: "end" },
  { dx: -9, dy: 13, anchor: "end" },
  { dx: 0, dy: -16, anchor: "middle" },
  { dx: 0, dy: 20, anchor: "middle" },
] as const;

/** Places words beside their points where they cover neither words nor points; else none. */
export function placeLabels(
  spots: readonly Spot[],
  marks: readonly Pick<Spot, "x" | "y">[],
  { width, height }: { width: number; height: number },
): Placed[] {
  const taken: Box[] = [...marks, ...spots].map(({ x, y }) => around(x, y, MARK, MARK));
  const placed: Placed[] = [];
  for (const spot of spots) {
    for (const { dx, dy, anchor } of SIDES) {
      const box = textBox(spot.x + dx, spot.y + dy, spot.text, anchor);
      const isInside = box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height;
      if (!isInside || taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      placed.push({ text: spot.text, x: spot.x + dx, y: spot.y + dy, anchor });
      break;
    }
  }
  return placed;
}

function textBox(x: number, y: number, text: string, anchor: Placed["anchor"]): Box {
  const width = LETTER * text.length;
  const left = anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2;
  return { left, right: left + width, top: y - LINE / 2, bottom: y + LINE / 2 };
}

function around(x: number, y: number, dx: number, dy: number): Box {
  return { left: x - dx, right: x + dx, top: y - dy, bottom: y + dy };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
