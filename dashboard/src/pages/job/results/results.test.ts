import { expect, it } from "vitest";

import type { Job, Model } from "@/api/queries";

import type { Report } from "../data";
import { cautions, maskingSentence } from "./quoting";
import { resultTables } from "./rows";
import { stagesSentence } from "./stages";

function measure(key: string, name: string, norm: string | null, radius: number | null) {
  const label = name.toUpperCase();
  return { key, name, label, norm, radius, accuracy: true, steps: null, version: null, run: 1 };
}

const JOB = {
  kind: "distillation",
  dataset_id: "ds_digits",
  spec: {},
  deciding: ["cw-30@linf:0.15", "autoattack@l2:0.5"],
  results: {
    best: { clean: 0.9, "pgd-20@linf:0.15": 0.6, "cw-30@linf:0.15": 0.5, "autoattack@l2:0.5": 0.7 },
    last: { clean: 0.91 },
  },
  intervals: { best: { clean: { low: 0.88, high: 0.92, images: 360 } } },
  measures: {
    clean: measure("clean", "clean", null, null),
    "pgd-20@linf:0.15": measure("pgd-20@linf:0.15", "pgd", "linf", 0.15),
    "cw-30@linf:0.15": measure("cw-30@linf:0.15", "cw", "linf", 0.15),
    "autoattack@l2:0.5": measure("autoattack@l2:0.5", "autoattack", "l2", 0.5),
    "transfer@linf:0.15": measure("transfer@linf:0.15", "transfer", "linf", 0.15),
  },
} as unknown as Job;
const OWN = { norm: "linf", radius: 0.15 } as const;

it("gives each threat model a table of its own", () => {
  const tables = resultTables({ job: JOB, teacher: undefined, threatModel: OWN });
  expect(tables.map(({ rows }) => rows.map(({ key }) => key))).toEqual([
    ["clean", "pgd-20@linf:0.15", "cw-30@linf:0.15"],
    ["clean", "autoattack@l2:0.5"],
  ]);
  expect(tables[0]?.rows.find(({ isDeciding }) => isDeciding)?.key).toBe("cw-30@linf:0.15");
});

it("shows the teacher's results of the same data set only", () => {
  const result = { value: 0.7, low: 0.6, high: 0.8, images: 360, job_id: "job_1" };
  const teacher = {
    results: {
      clean: { ...result, dataset_id: "ds_digits" },
      "pgd-20@linf:0.15": { ...result, dataset_id: "ds_other" },
    },
  } as unknown as Model;
  const [table] = resultTables({ job: JOB, teacher, threatModel: OWN });
  expect(table?.rows.map((row) => row.teacher?.value)).toEqual([0.7, undefined, undefined]);
});

it("says what AutoAttack's stages left", () => {
  const stages = {
    "apgd-ce": { standing: 0.6361, broken: 20 },
    "apgd-t": { standing: 0.5667, broken: 5 },
    "fab-t": { standing: 0.5667, broken: 0 },
    square: { standing: 0.5667, broken: 0 },
  };
  const report = {
    results: { best: { a: { measure: { name: "autoattack" }, stages } } },
  } as unknown as Report;
  expect(stagesSentence(report, "best")).toBe(
    "AutoAttack left 63.61 after APGD-CE and 56.67 after APGD-T; FAB-T and Square broke 0 more. ",
  );
  expect(stagesSentence(undefined, "best")).toBe("");
});

it("cautions with the report's warnings and failed checks, each once", () => {
  const check = (status: "passed" | "failed", details: string) => ({
    name: "square",
    title: "Square finds next to nothing.",
    status,
    details,
  });
  const warnings = ["This is a single run with one seed.", "Square found more."];
  const checks = [check("failed", "Square found more."), check("failed", ""), check("passed", "")];
  const list = cautions({ warnings, masking_checks: checks });
  expect(list.map(({ isOneSeed }) => isOneSeed)).toEqual([true, false, false]);
  expect(list[2]?.text).toBe(
    "Not true of this network: Square finds next to nothing. The network may mask its gradients.",
  );
  expect(maskingSentence(checks)).toBe("Checks for masked gradients: 1 passed, 2 failed.");
});
