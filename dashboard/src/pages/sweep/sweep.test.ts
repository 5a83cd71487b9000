import { expect, test } from "vitest";

import type { JobSummary } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import { progressText } from "../sweeps/sentences";
import { axisScale } from "./axis_scale";
import type { SweepDetail, Table } from "./data";
import { curvesOver, numericAxes, settingsOfLines } from "./lines";
import { answer, cellText, columnTitle, groupOf, missingReason } from "./sentences";

const KEY = "held_out_pgd-10@linf:0.15";
const SPEC: SweepDetail["spec"] = {
  base: {},
  rows: [],
  axes: {
    method: ["ard", { name: "arkd", beta: 1 }],
    "schedule.learning_rate": [0.1, 0.02],
    seed: [0, 1],
  },
};
const DESCRIPTION = {
  key: KEY,
  name: "held_out_pgd",
  title: "",
  label: "Held-out PGD-10",
  unit: "%",
  scale: 100,
  accuracy: true,
  norm: "linf",
  radius: 0.15,
  steps: 10,
  version: null,
  run: 1,
} as const;

function table(means: number[], best = 0): Table {
  return {
    network: "best",
    measures: [KEY],
    descriptions: { [KEY]: DESCRIPTION },
    lines: means.map((mean, index) => ({
      name: `line ${index}`,
      jobs: 2,
      done: 2,
      best: index === best,
      cells: { [KEY]: { mean, sd: 0.02, n: 2 } },
    })),
  };
}

const SWEEP = {
  id: "swp_1",
  name: "rates",
  size: 8,
  jobs: { succeeded: 6, failed: 1, running: 1 },
  terminal: false,
  created_at: "2026-11-28T00:00:00Z",
  spec: SPEC,
} satisfies SweepDetail;

test("the answer says how far it is and what held-out images choose", () => {
  expect(progressText(SWEEP)).toBe("7 of 8 ended, 1 failed");
  expect(plainAnswer(answer(SWEEP, table([0.25, 0.2])))).toBe(
    "7 of 8 ended, 1 failed. Held-out images choose line 0 at L∞ 0.15: 25.0 ± 2.0 % held-out " +
      "robust accuracy over 2 seeds.",
  );
});

test("a single seed has no deviation", () => {
  expect(cellText({ mean: 0.5, sd: null, n: 1 }, DESCRIPTION)).toBe("50.0");
});

test("lines have the settings of rows and axes, the last axis fastest, without seeds", () => {
  expect(settingsOfLines(SPEC)).toHaveLength(4);
  expect(settingsOfLines(SPEC)[1]).toEqual({ method: "ard", "schedule.learning_rate": 0.02 });
  expect(numericAxes(SPEC)).toEqual(["schedule.learning_rate"]);
});

test("a curve for each combination of the other settings, in order of x", () => {
  const curves = curvesOver(SPEC, table([0.1, 0.2, 0.3, 0.4]), "schedule.learning_rate", KEY);
  expect(curves.map(({ label }) => label)).toEqual(["ard", "arkd"]);
  expect(curves[0]?.points.map(({ x, mean }) => [x, mean])).toEqual([
    [0.02, 0.2],
    [0.1, 0.1],
  ]);
});

test("lines that do not fit the spec make no curve", () => {
  expect(curvesOver(SPEC, table([0.1]), "schedule.learning_rate", KEY)).toEqual([]);
});

test("threat models have heads of their own", () => {
  expect(groupOf("pgd-20@linf:8/255").replaceAll("\u00a0", " ")).toBe("Test images, L∞ 8/255");
  expect(groupOf("clean")).toBe("Test images");
  expect(groupOf("training_seconds_per_epoch")).toBe("Other");
  expect(columnTitle(KEY, "Held-out PGD-10")).toBe("PGD-10");
  expect(columnTitle("held_out_clean", "Held-out clean")).toBe("Clean");
});

test("a wide range of values is logarithmic", () => {
  const curve = (values: number[]) => [
    { id: "a", label: "a", points: values.map((x) => ({ x, mean: 0.5, sd: null, n: 1 })) },
  ];
  expect(axisScale(curve([0.001, 0.1])).isLog).toBe(true);
  expect(axisScale(curve([0, 0.1])).isLog).toBe(false);
  expect(axisScale(curve([0.02, 0.1])).x(0.1)).toBe(96);
  expect(axisScale(curve([0.1])).x(0.1)).toBe(4);
});

test("a missing result has a reason", () => {
  const job = (changes: object) =>
    ({ failure: null, pending_reason: null, ...changes }) as JobSummary;
  expect(missingReason(job({ status: "failed", failure: { message: "Loss is NaN." } }))).toBe(
    "Loss is NaN.",
  );
  expect(missingReason(job({ status: "queued" }))).toBe("It waits for a worker.");
});
