import { expect, it } from "vitest";

import { differences, settingsOf } from "./settings";

const SPEC = {
  name: "a",
  method: { name: "starship", covariance: { weight: 1 } },
  schedule: { epochs: 20, decay: { name: "one_cycle" } },
  evaluation: { attacks: [{ name: "pgd", steps: 20 }, { name: "cw" }] },
  averaging: null,
};

it("lists settings by their path; a choice's name stands for it", () => {
  expect(settingsOf(SPEC)).toEqual([
    { name: "method", value: "starship" },
    { name: "method.covariance.weight", value: "1" },
    { name: "schedule.epochs", value: "20" },
    { name: "schedule.decay", value: "one_cycle" },
    { name: "evaluation.attacks", value: "PGD-20, CW" },
    { name: "averaging", value: "none" },
  ]);
});

it("tells what differs, what is new and what is gone", () => {
  const former = { ...SPEC, name: "b", method: { name: "arkd", beta: 0.8 } };
  expect(differences(SPEC, former)).toEqual([
    { name: "method", value: "starship", former: "arkd" },
    { name: "method.covariance.weight", value: "1", former: undefined },
    { name: "method.beta", value: "none", former: "0.8" },
  ]);
});
