/** Settings of a job as people read them: values in words, in the order in which they matter. */

import { MINUS } from "./numbers";
import { formatRadius } from "./threat_model";

/** Radii such as 8/255 have more digits than a person reads. */
const DIGITS = 6;
const ATTACKS: Record<string, string> = { autoattack: "AutoAttack", cw: "CW", pgd: "PGD" };

/**
 * A value on one line, as YAML would have it; `missing` where there is none. Attacks and analyses
 * are told by their names: "PGD-20 at 0.15 (step size 0.0375)". `short` leaves out the brackets.
 */
export function settingText(value: unknown, missing = "none", short = false): string {
  if (value === null || value === undefined) return missing;
  if (typeof value === "number") {
    return String(Number(value.toPrecision(DIGITS))).replace(/^-/, MINUS);
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return "none";
    return value.map((item) => itemText(item, short)).join(", ");
  }
  if (typeof value === "object") return itemText(value, short);
  return typeof value === "string" ? value : value === true ? "true" : "false";
}

/** Texts of one setting in several jobs: short ones, where those tell apart what differs. */
export function settingTexts(values: readonly unknown[], missing = "–"): string[] {
  const long = values.map((value) => settingText(value, missing));
  const short = values.map((value) => settingText(value, missing, true));
  return new Set(short).size === new Set(long).size ? short : long;
}

function itemText(item: unknown, short: boolean): string {
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    return settingText(item, "none", short);
  }
  const { name, ...parts } = item as Record<string, unknown>;
  const title = typeof name === "string" ? [titleOf(name, parts)] : [];
  const rest = Object.entries(parts)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key.replaceAll("_", " ")} ${settingText(value, "none", short)}`);
  if (title.length === 0) return rest.join(", ");
  return short || rest.length === 0 ? title.join() : `${title.join()} (${rest.join(", ")})`;
}

/** "PGD-20 at 0.15": takes from `parts` what the title has said. */
function titleOf(name: string, parts: Record<string, unknown>): string {
  const attack = ATTACKS[name];
  if (attack === undefined) return name.replaceAll("_", " ");
  const { steps, radius } = parts;
  let title = attack;
  if (typeof steps === "number") {
    title += `-${steps}`;
    parts.steps = undefined;
  }
  if (typeof radius === "number") {
    title += ` at ${formatRadius(radius)}`;
    parts.radius = undefined;
  }
  return title;
}

const FIRST = ["method", "student", "teacher", "start_from", "model", "reference", "kind"];
const LAST = "evaluation";
/** "method.covariance.weight" and deeper: what one opens the whole list for. */
const DETAIL_DEPTH = 3;

/** Settings in the order of interest: method and networks, the others, details, evaluation. */
export function byInterest<Item>(items: readonly Item[], pathOf: (item: Item) => string): Item[] {
  return [...items].sort((a, b) => interest(pathOf(a)) - interest(pathOf(b)));
}

function interest(path: string): number {
  const parts = path.split(".");
  const place = FIRST.indexOf(parts[0] ?? "");
  const order = place < 0 ? FIRST.length : place;
  if (parts[0] === LAST) return 4 * FIRST.length;
  return order + (parts.length >= DETAIL_DEPTH ? 2 * FIRST.length : 0);
}
