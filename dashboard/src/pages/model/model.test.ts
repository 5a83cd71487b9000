import { expect, test } from "vitest";

import type { Model } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import type { Lineage } from "./data";
import { readReport } from "./import_report";
import { treesOf } from "./lineage";
import { groupResults } from "./results";
import { answer, loadingCode } from "./sentences";

function result(value: number, dataset = "ds_1") {
  return {
    value,
    low: value - 0.05,
    high: value + 0.05,
    images: 360,
    dataset_id: dataset,
    job_id: "j",
  };
}

const RESULTS: Model["results"] = {
  clean: result(0.9),
  "pgd-20@linf:0.15": result(0.6),
  "autoattack@linf:0.15": result(0.55),
  "pgd-20@linf:8/255": result(0.8),
  held_out_clean: result(0.91),
};

const DECIDING = ["autoattack@linf:0.15", "pgd-20@linf:8/255"];

function model(changes: Partial<Model>): Model {
  return {
    id: "mdl_1",
    name: "student",
    status: "ready",
    parameters: 1702,
    source_job_id: "job_1",
    results: RESULTS,
    deciding: DECIDING,
    problem: null,
    description: { channels: 1, height: 8, width: 8, classes: 10 },
    ...changes,
  } as Model;
}

const LINEAGE = {
  root: "mdl_1",
  nodes: [
    { id: "mdl_1", type: "model", name: "student", deleted: false },
    { id: "job_1", type: "job", method: "starship", deleted: false },
    { id: "mdl_0", type: "model", name: "teacher", deleted: false },
  ],
  edges: [
    { source: "job_1", target: "mdl_1", role: "student" },
    { source: "mdl_0", target: "job_1", role: "teacher" },
    { source: "mdl_0", target: "job_1", role: "start_from" },
  ],
  cut: [],
  measures: {},
} as unknown as Lineage;

test("results of unlike threat models are in unlike groups", () => {
  const groups = groupResults({ results: RESULTS, deciding: DECIDING });
  expect(groups.map(({ rows }) => rows.map(({ measure }) => measure.key))).toEqual([
    ["clean", "pgd-20@linf:0.15", "autoattack@linf:0.15"],
    ["clean", "pgd-20@linf:8/255"],
  ]);
  expect(groups[0]?.deciding?.measure.key).toBe("autoattack@linf:0.15");
});

test("clean results on other data do not stand beside an attack", () => {
  const results = { clean: result(0.9, "ds_2"), "pgd-20@linf:0.15": result(0.6) };
  const groups = groupResults({ results, deciding: ["pgd-20@linf:0.15"] });
  expect(groups).toHaveLength(2);
});

test("the answer has result, threat model and origin", () => {
  expect(plainAnswer(answer(model({}), LINEAGE))).toBe(
    "55.00 % (50.0–60.0) under AutoAttack at L∞ 0.15, 90.00 % clean. " +
      "1,702 parameters, distilled by STARSHIP from teacher.",
  );
});

test("an upload that was refused says why", () => {
  const refused = model({ status: "refused", problem: { detail: "Not a checkpoint." } });
  expect(plainAnswer(answer(refused, undefined))).toBe("The import was refused. Not a checkpoint.");
});

test("a tree begins with what is oldest and shows a node once", () => {
  const [tree] = treesOf(LINEAGE);
  expect(tree?.node.id).toBe("mdl_0");
  expect(tree?.children).toHaveLength(1);
  expect(tree?.children[0]?.roles).toEqual(["teacher", "start_from"]);
  expect(tree?.children[0]?.children[0]?.node.id).toBe("mdl_1");
});

test("a circle of nodes ends", () => {
  const circle: Lineage = {
    ...LINEAGE,
    edges: [...LINEAGE.edges, { source: "mdl_1", target: "mdl_0", role: "teacher" }],
  };
  expect(treesOf(circle)[0]?.node.id).toBe("mdl_1");
});

test("a hostile name stays a Python string", () => {
  expect(loadingCode(model({ name: 'a"); import os; ("' }))).toContain(
    String.raw`Path("a\"); import os; (\".safetensors")`,
  );
});

test("a report of another version is read as far as it goes", () => {
  expect(readReport({ renamed: { a: "b" }, dropped: [], remarks: "no list" })).toEqual({
    remarks: [],
    normalization: "",
    stateDict: undefined,
    otherStateDicts: [],
    lists: [{ title: "Renamed", lines: ["a → b"] }],
  });
});
