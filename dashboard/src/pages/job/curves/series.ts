/** A job's metrics as lines of charts. Pure. */

import type { MetricSeries } from "@/api/queries";
import type { Series, SeriesColor } from "@/charts";

import type { HeldOut } from "../sentences";
import type { Axis } from "./axes";

const PER_EPOCH = "epoch_";
const COLORS: readonly SeriesColor[] = [1, 2, 3, 4, 5, 6, 7, 8];
/** Terms whose names in code say less than these. */
const TERMS: Record<string, string> = {
  arkd_clean: "ARKD, clean",
  arkd_adversarial: "ARKD, adversarial",
  fca: "features",
  omega_covariance: "Ω, features",
  omega_gram: "Ω, Gram",
  pgm: "Gram",
};

/** Names of all that the page draws, of those that the job has. */
export function shownMetrics(names: readonly string[]): string[] {
  return names.filter(
    (name) =>
      name === "learning_rate" ||
      /^(epoch_)?(loss|effective_rank)(_|$)/.test(name) ||
      name.startsWith("epoch_held_out_"),
  );
}

/** Steps of an epoch: the first epoch's values stand at its last step. */
export function stepsPerEpoch(metrics: readonly MetricSeries[]): number | undefined {
  const first = (name: string) => metrics.find((one) => one.name === name)?.points[0]?.[0];
  return first("epoch_loss");
}

export function heldOutSeries(metrics: readonly MetricSeries[], axis: Axis): Series[] {
  return (["clean", "robust"] as const).flatMap((color) => {
    const points = pointsOf(metrics, `epoch_held_out_${color}`, axis, 100);
    return points.length === 0 ? [] : [{ id: color, label: color, color, points }];
  });
}

/** Terms of the loss: means of epochs, or each step's where x is the step. */
export function lossSeries(metrics: readonly MetricSeries[], axis: Axis): Series[] {
  const prefix = `${prefixOf(metrics, axis, "loss")}loss`;
  const names = metrics
    .map(({ name }) => name)
    .filter((name) => name === prefix || name.startsWith(`${prefix}_`));
  const terms = names.filter((name) => name !== prefix);
  const total = names.includes(prefix) ? [prefix] : [];
  // A single term is the total.
  const drawn = terms.length > 1 ? [...total, ...terms] : total;
  return drawn.map((name, index): Series => {
    const term = name.slice(prefix.length + 1);
    return {
      id: name,
      label: term === "" ? "total" : (TERMS[term] ?? term.replaceAll("_", " ")),
      color: term === "" ? "clean" : (COLORS[(index - 1) % COLORS.length] ?? "rest"),
      points: pointsOf(metrics, name, axis).filter(([, value]) => value > 0),
    };
  });
}

export function rankSeries(metrics: readonly MetricSeries[], axis: Axis): Series[] {
  const prefix = prefixOf(metrics, axis, "effective_rank_student");
  const networks = [
    { id: "teacher", color: "clean", dashed: true },
    { id: "student", color: "robust", dashed: false },
  ] as const;
  return networks.flatMap((network): Series[] => {
    const points = pointsOf(metrics, `${prefix}effective_rank_${network.id}`, axis);
    return points.length === 0 ? [] : [{ ...network, label: network.id, points }];
  });
}

export function rateSeries(metrics: readonly MetricSeries[], axis: Axis): Series[] {
  const points = pointsOf(metrics, "learning_rate", axis);
  return points.length === 0 ? [] : [{ id: "rate", label: "", color: "clean", points }];
}

/** Bounds of an axis that begins at 0: the least of 1, 2, 4, 6, 8 and 10 times a power of ten. */
export function fromZero(series: readonly Series[]): readonly [number, number] {
  const top = Math.max(0, ...series.map(({ points }) => largest(points)));
  if (top === 0) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(top));
  const factor = [1, 2, 4, 6, 8, 10].find((one) => one * power >= top * (1 - 1e-9)) ?? 10;
  return [0, factor * power];
}

function largest(points: Series["points"]): number {
  return points.reduce((most, [, value]) => Math.max(most, value), 0);
}

/** Now and best, from the curve that the page draws. */
export function heldOutOf(metrics: readonly MetricSeries[]): HeldOut | undefined {
  const points = metrics.find(({ name }) => name === "epoch_held_out_robust")?.points ?? [];
  const last = points.at(-1);
  if (last === undefined) return undefined;
  const best = points.reduce((a, b) => (b[1] > a[1] ? b : a));
  const steps = stepsPerEpoch(metrics);
  return {
    now: last[1],
    best: best[1],
    bestEpoch: steps === undefined ? undefined : Math.round(best[0] / steps),
    isBestNow: best[1] === last[1],
  };
}

/** "epoch_" unless x is the step, or no epoch has ended. */
function prefixOf(metrics: readonly MetricSeries[], axis: Axis, name: string): string {
  const has = (wish: string) => metrics.some((one) => one.name === wish);
  if (axis.name === "step" && has(name)) return "";
  return has(PER_EPOCH + name) ? PER_EPOCH : "";
}

function pointsOf(
  metrics: readonly MetricSeries[],
  name: string,
  axis: Axis,
  scale = 1,
): readonly (readonly [number, number])[] {
  const points = metrics.find((one) => one.name === name)?.points ?? [];
  if (axis.name === "step" && scale === 1) return points;
  return points.map(([step, value]) => [axis.toX(step), scale * value] as const);
}
