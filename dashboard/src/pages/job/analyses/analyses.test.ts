import { expect, it } from "vitest";

import type { Report } from "../data";
import { changeColor, filtersOf, parseColor, type Example, type Examples } from "./examples";
import { calibrationOf, radiusSweepOf } from "./findings";
import { perClassOf, weakest } from "./per_class";

const COLORS = { none: [255, 255, 255], darker: [200, 50, 0], lighter: [0, 100, 200] } as const;

it("colors a change by its direction, full at the radius", () => {
  expect(changeColor(0, COLORS)).toEqual([200, 50, 0]);
  expect(changeColor(255, COLORS)).toEqual([0, 100, 200]);
  expect(changeColor(127, COLORS)).toEqual([255, 255, 255]);
  expect(parseColor("#106bcc")).toEqual([16, 107, 204]);
  expect(parseColor("rgb(16, 107, 204)")).toEqual([16, 107, 204]);
});

it("counts outcomes over all images, and offers those that are shown", () => {
  const examples = {
    outcomes: { both_hold: 237, network_falls: 68, reference_falls: 0, both_fall: 55 },
    examples: ["network_falls", "both_hold"].map((outcome) => ({ outcome }) as Example),
  } as unknown as Examples;
  expect(filtersOf(examples).map(({ label }) => label)).toEqual([
    "Mixed",
    "Student falls 68",
    "Both hold 237",
  ]);
});

function report(results: object): Report {
  return {
    results: { best: results },
    data: { description: { class_names: ["a", "b"] } },
  } as unknown as Report;
}

it("reads a radius sweep with its band, in per cent", () => {
  const data = {
    radii: [0, 0.1],
    accuracy: [0.9, 0.5],
    intervals: [
      [0.8, 1],
      [0.4, 0.6],
    ],
    steps: 20,
  };
  const sweep = radiusSweepOf(report({ radius_sweep: data }), "best");
  expect(sweep?.series[0]?.points).toEqual([
    [0, 90],
    [0.1, 50],
  ]);
  expect(sweep?.series[0]?.band).toEqual([
    [0, 80, 100],
    [0.1, 40, 60],
  ]);
  expect(radiusSweepOf(report({}), "best")).toBe(undefined);
});

it("draws only bins that have images", () => {
  const bins = { ece: 0.1, count: [0, 4], confidence: [0, 0.8], accuracy: [0, 0.7] };
  const result = calibrationOf(report({ calibration: { clean: bins, adversarial: bins } }), "best");
  expect(result?.series[0]?.points).toEqual([[80, 70]]);
});

it("finds the weakest class under the attack that decides", () => {
  const of = (name: string, radius: number | null, value: number, classes: number[]) => ({
    measure: { key: name + String(radius), name, label: name, norm: radius && "linf", radius },
    value,
    per_class: classes,
  });
  const perClass = perClassOf(
    report({
      a: of("clean", null, 0.9, [1, 0.8]),
      c: of("cw", 0.15, 0.4, [0.5, 0.3]),
      b: of("pgd", 0.15, 0.5, [0.2, 0.8]),
      d: of("pgd", 0.3, 0.1, [0, 0.2]),
    }),
    "best",
    { norm: "linf", radius: 0.15 },
    ["cw0.15"],
  );
  expect(perClass?.attacks.map(({ label }) => label)).toEqual(["pgd", "cw"]);
  expect(perClass && weakest(perClass)?.name).toBe("b");
});
