import { expect, test } from "vitest";

import { decidingResult, heldOutRobustMeasure, parseMeasure } from "./measures";
import { jobTitle, methodTitle } from "./names";
import { wilsonInterval } from "./statistics";
import {
  formatRadius,
  parseRadius,
  parseThreatModel,
  threatModelKey,
  threatModelTitle,
} from "./threat_model";

test("a radius is written as REST writes it", () => {
  expect(formatRadius(8 / 255)).toBe("8/255");
  expect(formatRadius(0.0313725)).toBe("8/255");
  expect(formatRadius(0.15)).toBe("0.15");
  expect(formatRadius(0.1234567)).toBe("0.1234567");
  expect(parseRadius("8/255")).toBe(8 / 255);
  expect(parseRadius("x")).toBeUndefined();
});

test("a threat model's key is read and written back", () => {
  const threatModel = parseThreatModel("linf:8/255");
  expect(threatModel && threatModelKey(threatModel)).toBe("linf:8/255");
  expect(threatModel && threatModelTitle(threatModel)).toBe("L∞\u00a08/255");
  expect(parseThreatModel("l1:3")).toBeUndefined();
});

test("a key says attack, steps, settings, threat model and run", () => {
  const measure = parseMeasure("pgd-20:restarts=5@linf:8/255#2");
  expect(measure.label).toBe("PGD-20 (restarts 5) (run 2)");
  expect(measure.threatModel).toEqual({ norm: "linf", radius: 8 / 255 });
  expect(parseMeasure("clean").label).toBe("Clean");
});

test("what REST says decides, decides, whatever the numbers", () => {
  const attacks = { clean: 0.9, "pgd-20@linf:0.15": 0.5, "autoattack@linf:0.15": 0.58 };
  expect(decidingResult(attacks, ["autoattack@linf:0.15"])?.value).toBe(0.58);
  expect(decidingResult(attacks, ["cw-30@linf:0.15", "pgd-20@linf:0.15"])?.value).toBe(0.5);
  expect(decidingResult(attacks, [])).toBeUndefined();
});

test("the held-out accuracy is found by its name", () => {
  const results = { "pgd-20@linf:0.15": 0.6, "held_out_pgd-10@linf:0.15": 0.1 };
  expect(heldOutRobustMeasure(results)?.steps).toBe(10);
});

test("Wilson's interval of 176 of 360", () => {
  const [low, high] = wilsonInterval(176 / 360, 360);
  expect(low).toBeCloseTo(0.4376, 3);
  expect(high).toBeCloseTo(0.5404, 3);
  expect(wilsonInterval(0, 10)[0]).toBe(0);
});

test("methods have their papers' names, jobs always words", () => {
  expect(methodTitle("adaad")).toBe("AdaAD");
  expect(methodTitle("new_one")).toBe("NEW-ONE");
  expect(jobTitle({ id: "job_0123456789", name: null, kind: "import_model" })).toBe(
    "model import 3456789",
  );
});
