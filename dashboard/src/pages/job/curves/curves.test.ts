import { describe, expect, it } from "vitest";

import type { JobEvent } from "../data";
import { clockOf, interpolate, makeAxis } from "./axes";
import { fromZero, heldOutOf, lossSeries, shownMetrics, stepsPerEpoch } from "./series";
import { formatSteps, parseSteps } from "./zoom";

function event(type: string, at: string, data: object): JobEvent {
  return { seq: 1, type, at: `2026-11-28T12:${at}Z`, attempt: 1, data } as JobEvent;
}

describe("the axis of time", () => {
  const events = [
    event("phase", "00:00", { phase: "training" }),
    event("epoch", "00:10", { epoch: 1, step: 100 }),
    event("epoch", "00:30", { epoch: 2, step: 200 }),
    event("status", "10:00", { to: "queued" }),
    event("phase", "20:00", { phase: "training" }),
    event("epoch", "20:05", { epoch: 2, step: 200 }),
    event("epoch", "20:15", { epoch: 3, step: 300 }),
  ];

  it("counts training only, not the wait between attempts", () => {
    expect(clockOf(events)).toEqual([
      [0, 0],
      [100, 10],
      [200, 30],
      [300, 45],
    ]);
  });

  it("goes both ways", () => {
    const axis = makeAxis("time", { stepsPerEpoch: 100, clock: clockOf(events) });
    expect(axis.toX(150)).toBe(20);
    expect(axis.toStep(20)).toBe(150);
  });

  it("goes on beyond its last point", () => {
    expect(
      interpolate(
        [
          [0, 0],
          [100, 10],
        ],
        200,
      ),
    ).toBe(20);
  });
});

it("is in steps where no epoch has ended", () => {
  expect(makeAxis("epoch", { stepsPerEpoch: undefined, clock: [] }).name).toBe("step");
});

const METRICS = [
  {
    name: "epoch_held_out_robust",
    points: [
      [10, 0.4],
      [20, 0.6],
      [30, 0.5],
    ],
  },
  {
    name: "epoch_loss",
    points: [
      [10, 2],
      [20, 1],
    ],
  },
  {
    name: "epoch_loss_arkd_clean",
    points: [
      [10, 1],
      [20, 0],
    ],
  },
  {
    name: "epoch_loss_cosine",
    points: [
      [10, 1],
      [20, 1],
    ],
  },
  { name: "loss", points: [[1, 3]] },
] as { name: string; points: [number, number][] }[];

it("reads now and best from the curve", () => {
  expect(stepsPerEpoch(METRICS)).toBe(10);
  expect(heldOutOf(METRICS)).toEqual({ now: 0.5, best: 0.6, bestEpoch: 2, isBestNow: false });
});

it("draws terms of the loss under their names, without zeros on a log scale", () => {
  const axis = makeAxis("epoch", { stepsPerEpoch: 10, clock: [] });
  const series = lossSeries(METRICS, axis);
  expect(series.map(({ label }) => label)).toEqual(["total", "ARKD, clean", "cosine"]);
  expect(series[1]?.points).toEqual([[1, 1]]);
  const steps = makeAxis("step", { stepsPerEpoch: 10, clock: [] });
  expect(lossSeries(METRICS, steps)[0]?.points).toEqual([[1, 3]]);
});

it("asks only for what it draws", () => {
  const names = ["loss", "epoch_loss_x", "learning_rate", "gpu_power", "epoch_held_out_clean"];
  expect(shownMetrics(names)).toEqual(names.filter((name) => name !== "gpu_power"));
});

it("keeps the zoom in the address", () => {
  expect(parseSteps(formatSteps([99.7, 120.2]))).toEqual([99, 121]);
  for (const text of [null, "", "5-5", "9-3", "a-b", "-5-9"])
    expect(parseSteps(text)).toBe(undefined);
});

it("ends an axis from zero at a round number", () => {
  const top = (value: number) =>
    fromZero([{ id: "a", label: "a", color: 1, points: [[0, value]] }])[1];
  expect([7.6, 0.1, 0.048, 5, 0].map(top)).toEqual([8, 0.1, 0.06, 6, 1]);
});
