import { expect, test } from "vitest";

import { byInterest, settingText, settingTexts } from "./settings";

const PGD = { name: "pgd", radius: 8 / 255, step_size: 0.0078431, steps: 20 };

test("values are as YAML has them, numbers with a true minus", () => {
  expect([null, "a", -1, false, [1, 2], []].map((value) => settingText(value))).toEqual([
    "none",
    "a",
    "−1",
    "false",
    "1, 2",
    "none",
  ]);
  expect(settingText("<script>")).toBe("<script>");
});

test("attacks and analyses are told in words", () => {
  expect(settingText([PGD, { name: "autoattack" }])).toBe(
    "PGD-20 at 8/255 (step size 0.0078431), AutoAttack",
  );
  expect(settingText([{ name: "radius_sweep", radii: [0.1, 0.2] }])).toBe(
    "radius sweep (radii 0.1, 0.2)",
  );
  expect(PGD.steps).toBe(20);
});

test("what differs only in a detail has its details", () => {
  expect(settingTexts([[PGD], [{ ...PGD, steps: 10 }], null])).toEqual([
    "PGD-20 at 8/255",
    "PGD-10 at 8/255",
    "–",
  ]);
  expect(settingTexts([[PGD], [{ ...PGD, step_size: 0.01 }]])).toEqual([
    "PGD-20 at 8/255 (step size 0.0078431)",
    "PGD-20 at 8/255 (step size 0.01)",
  ]);
});

test("the method comes first, details late and the evaluation last", () => {
  const paths = [
    "evaluation.attacks",
    "seed",
    "method.gram.weight",
    "teacher",
    "student.width",
    "method.name",
  ];
  expect(byInterest(paths, (path) => path)).toEqual([
    "method.name",
    "student.width",
    "teacher",
    "seed",
    "method.gram.weight",
    "evaluation.attacks",
  ]);
});
