import { expect, test } from "vitest";

import type { Model } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import type { Row, Section } from "./data";
import { applyFilters, largestFirst, notMeasured, readFilters, sectionKey } from "./filters";
import { lineageOf } from "./lineage";
import { answer, rankText, sectionNote } from "./sentences";
import { modelBody } from "./upload/model_body";

const KEY = "autoattack@linf:0.15";

function row(changes: Partial<Row> & { model_id: string }, value: number | null = 0.6): Row {
  const results: Row["results"] =
    value === null ? {} : { [KEY]: { value, low: value - 0.05, high: value + 0.05, images: 360 } };
  return {
    name: changes.model_id,
    rank: { low: 1, high: 1 },
    results,
    deciding: KEY,
    teacher_id: null,
    difference: null,
    architecture: "small_cnn",
    parameters: 1702,
    method: "starship",
    job_id: null,
    measured_by: null,
    ...changes,
  };
}

function section(rows: Row[], changes: Partial<Section> = {}): Section {
  return {
    dataset_id: "ds_digits",
    dataset: "digits",
    threat_model: { norm: "linf", radius: 0.15, title: "L∞ 0.15" },
    deciding: KEY,
    measures: ["clean", KEY],
    descriptions: {},
    rows,
    compared: rows.length,
    has_more: false,
    ...changes,
  };
}

const TEACHER = row({ model_id: "teacher", parameters: 24058, method: "trades" }, 0.7);
const STUDENT = row({ model_id: "student", teacher_id: "teacher", rank: { low: 2, high: 4 } });

test("the answer names the best student, its rank and its teacher", () => {
  expect(plainAnswer(answer([section([TEACHER, STUDENT])], 2))).toBe(
    "On digits at L∞ 0.15 the best student is student: 60.00 % (55.0–65.0) under AutoAttack with " +
      "1,702 parameters. Its rank among 2 models is 2–4: the test images say no more. " +
      "The teacher holds 70.00 % with 24,058.",
  );
});

test("without an attack nothing is called best", () => {
  expect(plainAnswer(answer([], 3))).toBe("3 models, none of them measured under attack.");
  expect(answer([], 0)).toEqual([]);
});

test("a rank is a range, and nothing where there is none", () => {
  expect(rankText({ low: 3, high: 7 })).toBe("3–7");
  expect(rankText({ low: 1, high: 1 })).toBe("1");
  expect(rankText(null)).toBe("");
});

test("a second ranking says that it cannot be compared", () => {
  const other = section([TEACHER], { threat_model: { norm: "linf", radius: 8 / 255, title: "" } });
  expect(sectionNote(other, false).replaceAll("\u00a0", " ")).toBe(
    "the attacker may change each pixel by at most 8/255 = 0.031 · test accuracy, %, 360 images, " +
      "95 % interval below · another ranking: not comparable with the table above",
  );
});

test("students, teachers and text are filtered", () => {
  const sections = [section([TEACHER, STUDENT])];
  const names = (query: string) =>
    applyFilters(sections, readFilters(new URLSearchParams(query))).flatMap(({ rows }) =>
      rows.map(({ name }) => name),
    );
  expect(names("role=students")).toEqual(["student"]);
  expect(names("role=teachers")).toEqual(["teacher"]);
  expect(names("q=STUD")).toEqual(["student"]);
  expect(names("threat=linf:8/255")).toEqual([]);
});

test("only ready models of the same images count as not measured", () => {
  const small = { channels: 1, height: 8, width: 8, classes: 10 };
  const large = { channels: 3, height: 32, width: 32, classes: 10 };
  const model = (id: string, description: object, status = "ready") =>
    ({ id, description, status }) as unknown as Model;
  const models = [
    model("teacher", small),
    model("new", small),
    model("refused", small, "refused"),
    model("cifar", large),
  ];
  const measured = section([TEACHER]);
  expect(notMeasured(measured, [measured], models).map(({ id }) => id)).toEqual(["new"]);
});

test("sections of unlike threat models have unlike keys", () => {
  const other = section([], { threat_model: { norm: "l2", radius: 0.15, title: "" } });
  expect(sectionKey(section([]))).not.toBe(sectionKey(other));
});

test("a tree has the teacher, its methods, and students of students", () => {
  const second = row({ model_id: "second", teacher_id: "student", method: "rslad" }, 0.5);
  const trees = lineageOf(section([TEACHER, STUDENT, second]), new Map());
  expect(trees.map(({ id }) => id)).toEqual(["teacher"]);
  const group = trees[0]?.groups[0];
  expect(group?.method).toBe("starship");
  expect(group?.range).toEqual([0.6, 0.6]);
  expect(group?.students[0]?.groups[0]?.students[0]?.id).toBe("second");
});

test("a teacher that was not measured keeps its name", () => {
  const trees = lineageOf(section([STUDENT]), new Map([["teacher", "old teacher"]]));
  expect(trees[0]).toMatchObject({ name: "old teacher", row: undefined });
});

test("a body has numbers as numbers and leaves out what is empty", () => {
  const values = { name: "12", classes: "ten", state_dict: "", height: "8" };
  expect(modelBody("small_cnn", { width: 4 }, values)).toEqual({
    network: { architecture: "small_cnn", width: 4 },
    name: "12",
    classes: "ten",
    channels: 3,
    height: 8,
    width: 32,
  });
});

test("the ranking of most models is the first", () => {
  const small = section([TEACHER], { dataset: "small" });
  const large = section([TEACHER, STUDENT], { dataset: "large" });
  expect(largestFirst([small, large]).map(({ dataset }) => dataset)).toEqual(["large", "small"]);
});
