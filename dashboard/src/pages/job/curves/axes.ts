/** Steps as epochs, steps or seconds: the horizontal axis of a job's curves. Pure. */

import type { JobEvent } from "../data";

export type AxisName = "epoch" | "step" | "time";

export interface Axis {
  name: AxisName;
  /** Of a step. */
  toX: (step: number) => number;
  toStep: (x: number) => number;
}

/** Points (step, seconds of training so far), in order of step. */
export type Clock = readonly (readonly [number, number])[];

interface Known {
  stepsPerEpoch: number | undefined;
  clock: Clock;
}

export function makeAxis(name: AxisName, { stepsPerEpoch, clock }: Known): Axis {
  if (name === "epoch" && stepsPerEpoch !== undefined) {
    return {
      name,
      toX: (step) => step / stepsPerEpoch,
      toStep: (epoch) => epoch * stepsPerEpoch,
    };
  }
  if (name === "time" && clock.length > 1) {
    const inverse = clock.map(([step, seconds]) => [seconds, step] as const);
    return {
      name,
      toX: (step) => interpolate(clock, step),
      toStep: (seconds) => interpolate(inverse, seconds),
    };
  }
  return { name: "step", toX: (step) => step, toStep: (step) => step };
}

/** Seconds of training after each epoch; what was done again after a crash counts once. */
export function clockOf(events: readonly JobEvent[]): Clock {
  const points: (readonly [number, number])[] = [[0, 0]];
  let before: number | undefined;
  let seconds = 0;
  for (const { type, at, data } of events) {
    const time = Date.parse(at) / 1000;
    if (type === "phase") before = data.phase === "training" ? time : undefined;
    if (type === "status") before = undefined;
    if (type !== "epoch" || typeof data.step !== "number") continue;
    if (before !== undefined) seconds += Math.max(0, time - before);
    before = time;
    if (data.step > (points.at(-1)?.[0] ?? 0)) points.push([data.step, seconds]);
  }
  return points;
}

/** Linear between points in order of x, and beyond them by the line of the nearest two. */
export function interpolate(points: Clock, x: number): number {
  let high = points.findIndex(([at]) => at >= x);
  if (high < 0) high = points.length - 1;
  const [x1, y1] = points[Math.max(1, high)] ?? [0, 0];
  const [x0, y0] = points[Math.max(1, high) - 1] ?? [0, 0];
  return x1 === x0 ? y1 : y0 + ((x - x0) * (y1 - y0)) / (x1 - x0);
}
