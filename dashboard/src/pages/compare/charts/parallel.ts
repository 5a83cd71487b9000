/** Axes of the parallel coordinates: differing settings, then what was measured. */

import { methodTitle } from "@/format/names";
import { byInterest, settingText } from "@/format/settings";

import type { Comparison, Section } from "../runs";
import { measureLabel } from "../sentences";
import { axisOf, shareOf } from "./scale";

export interface ParallelAxis {
  id: string;
  title: string;
  /** Words at its lower and its upper end. */
  low: string;
  high: string;
  /** Where each run crosses it, from 0 below to 1 above; undefined: it has no such value. */
  shares: ReadonlyMap<string, number>;
}

const MOST_SETTINGS = 3;
const MOST_MEASURES = 4;
const MOST_WORDS = 12;
/** Settings that say which files were read, or repeat the method's name. */
const UNTOLD = new Set(["teacher", "kind", "preset", "data.dataset", "start_from"]);

export function parallelAxes(comparison: Comparison, section: Section): ParallelAxis[] {
  const { jobs, settings } = comparison;
  const ids = section.rows.map(({ job_id: id }) => id);
  const tested = new Set(ids);
  const places = jobs.map(({ id }, index) => ({ id, index })).filter(({ id }) => tested.has(id));
  const axes: ParallelAxis[] = [];
  for (const { path, values } of byInterest(settings.different, ({ path }) => path)) {
    if (axes.length === MOST_SETTINGS) break;
    if (UNTOLD.has(path) || path.startsWith("evaluation.")) continue;
    const own = new Map(places.map(({ id, index }) => [id, values[index]] as const));
    const axis = settingAxis(path, own);
    if (axis !== undefined) axes.push(axis);
  }
  return [...axes, ...measureAxes(section)];
}

function settingAxis(path: string, values: ReadonlyMap<string, unknown>): ParallelAxis | undefined {
  const set = [...values].filter(([, value]) => value !== null && value !== undefined);
  // A setting that few of the runs have tells more in the table.
  if (2 * set.length < values.size) return undefined;
  const numbers = set.flatMap(([id, value]) =>
    typeof value === "number" ? [[id, value] as const] : [],
  );
  // Lists and objects are told apart in the table of settings.
  if (set.some(([, value]) => typeof value === "object")) return undefined;
  if (numbers.length < set.length) return wordAxis(path, set);
  const own = numbers.map(([, value]) => value);
  const low = Math.min(...own);
  const high = Math.max(...own);
  if (low === high) return undefined;
  const axis = { low, high, ticks: [] };
  return {
    id: path,
    title: path,
    low: settingText(low),
    high: settingText(high),
    shares: new Map(numbers.map(([id, value]) => [id, shareOf(value, axis)])),
  };
}

/** Words in their order of appearance, evenly spaced. */
function wordAxis(
  path: string,
  values: readonly (readonly [string, unknown])[],
): ParallelAxis | undefined {
  const text = (value: unknown) =>
    path === "method.name" && typeof value === "string" ? methodTitle(value) : settingText(value);
  const words = [...new Set(values.map(([, value]) => text(value)))];
  if (words.length < 2 || words.length > MOST_WORDS) return undefined;
  return {
    id: path,
    title: path,
    low: words[0] ?? "",
    high: words.at(-1) ?? "",
    shares: new Map(
      values.map(([id, value]) => [id, words.indexOf(text(value)) / (words.length - 1)]),
    ),
  };
}

function measureAxes(section: Section): ParallelAxis[] {
  const { measures, deciding, rows } = section;
  const others = measures.filter((key) => key !== deciding).slice(0, MOST_MEASURES - 1);
  return [...others, deciding].flatMap((key) => {
    const values = rows.flatMap(({ job_id: id, results }) => {
      const value = results[key]?.value;
      return value === undefined ? [] : [[id, 100 * value] as const];
    });
    if (values.length < 2) return [];
    const axis = axisOf(
      values.map(([, value]) => value),
      0,
      100,
    );
    return {
      id: key,
      title: `${measureLabel(section, key)}, %`,
      low: String(axis.low),
      high: String(axis.high),
      shares: new Map(values.map(([id, value]) => [id, shareOf(value, axis)])),
    };
  });
}

/** A run's line, broken where it has no value. */
export function linePath(
  axes: readonly ParallelAxis[],
  id: string,
  x: (index: number) => number,
  y: (share: number) => number,
): string {
  let path = "";
  let isBroken = true;
  axes.forEach(({ shares }, index) => {
    const share = shares.get(id);
    if (share === undefined) {
      isBroken = true;
      return;
    }
    path += `${isBroken ? "M" : "L"}${x(index).toFixed(1)} ${y(share).toFixed(1)}`;
    isBroken = false;
  });
  return path;
}
