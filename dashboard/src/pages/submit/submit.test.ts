// @vitest-environment jsdom

import { expect, test } from "vitest";

import { plainAnswer } from "@/components/page/answer";

import type { DryRun } from "./cost/dry_run";
import { figuresOf, formatMemory, formatRange, ordinal } from "./cost/estimate";
import { radiusHint, stepHint } from "./fields/hints";
import { withSeeds } from "./groups/sweep_changes";
import { answerParts, startPhrase, uniqueFields } from "./sentences";
import { evaluationBody } from "./start/evaluation_body";
import { differences, minimalBody } from "./start/minimal_body";
import { needsTeacher, withTeacher } from "./start/teacher";
import { exampleOf, type Example, type Start } from "./start/start";
import type { Schema } from "./spec/schema";
import type { JsonObject } from "./spec/values";
import { parseText } from "./yaml/document";
import { curlLine, python, pythonLines } from "./yaml/requests";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

const CLONE: Start = { kind: "clone", title: "digits-starship", text: "" };
const NOTHING = { changedLines: 0, problems: [], syntax: undefined };

test("the answer line says the start, the differences and what is wrong", () => {
  const say = (start: Start, work: Parameters<typeof answerParts>[1]) =>
    startPhrase(start) + start.title + plainAnswer(answerParts(start, work));
  expect(say(CLONE, NOTHING)).toBe("A clone of digits-starship. It is the same job so far. ");
  const problems = [
    { path: ["adversary", "steps"], message: "Too few." },
    { path: ["adversary", "steps"], message: "Not whole." },
  ];
  expect(say(CLONE, { ...NOTHING, changedLines: 2, problems })).toBe(
    "A clone of digits-starship. Marked lines differ from it. One field needs a correction.",
  );
  const syntax = { line: 5, message: "Broken." };
  expect(say({ ...CLONE, kind: "example" }, { ...NOTHING, syntax })).toBe(
    "From the example digits-starship. Line 5 of the YAML cannot be read.",
  );
});

test("a wrong field is named by its label, an item of a list by the list", () => {
  const labels = [
    ["data", "held_out"],
    ["evaluation", "attacks", 1],
    ["base", "data", "extra", "dataset"],
    ["axes", "seed"],
    [],
  ].map((path) => uniqueFields([{ path, message: "" }])[0]?.label);
  expect(labels).toEqual(["Held out", "Attacks", "Extra images: data set", "seed", "the job"]);
});

test("radii are said in both forms, steps in parts of the radius", () => {
  expect(radiusHint(0.15)).toBe("0.15 = 38.25/255");
  expect(radiusHint("8/255")).toBe("8/255 = 0.0314");
  expect(radiusHint("no")).toBeUndefined();
  expect(stepHint("2/255", "8/255")).toBe("a quarter of the radius");
  expect(stepHint(0.05, 0.15)).toBe("0.33 of the radius");
  expect(stepHint(0.05, 0)).toBeUndefined();
});

const TIME = {
  device: { kind: "cpu", name: null },
  workers: ["worker-1"],
  seconds: 28.3,
  low: 21,
  high: 32.2,
  n: 5,
  based_on: null,
  sentence: "",
};

function estimate(changes: object): DryRun {
  const result = {
    estimate: {
      time: [TIME],
      memory: { status: "known", bytes: 1.5 * 2 ** 30, fits: ["worker-1"], sentence: "" },
      queue: { position: 6, workers: 1, sentence: "" },
      steps: 200,
      steps_per_epoch: 10,
      network_passes: 456_720,
      ...changes,
    },
    warnings: [],
  };
  return { endpoint: "jobs", result } as unknown as DryRun;
}

test("the estimate is time, memory, steps, passes and place in line", () => {
  const lines = figuresOf(estimate({})).map(({ label, value, detail }) =>
    plain(`${label}: ${value}, ${detail}`),
  );
  expect(lines).toEqual([
    "Time: ≈ 28 s, 21–32 s, 5 finished jobs so far",
    "Memory: 1.5 GiB, fits worker-1",
    "Steps: 200, 10 per epoch",
    "Passes: 456,720, of a network",
    "Starts: 6th, in line, 1 worker",
  ]);
});

test("what is not known is said to be unknown", () => {
  const unknown = { ...TIME, seconds: null, low: null, high: null, n: 0 };
  const [time, memory] = figuresOf(
    estimate({ time: [unknown], memory: { status: "pending", sentence: "" } }),
  );
  expect([time?.value, time?.detail]).toEqual(["unknown", "no finished job yet"]);
  expect(memory?.detail).toBe("being worked out");
});

test("the fastest known device gives the time", () => {
  const slow = { ...TIME, seconds: 300 };
  expect(plain(figuresOf(estimate({ time: [slow, TIME] }))[0]?.value ?? "")).toBe("≈ 28 s");
});

test("ranges, memory and ordinals", () => {
  expect(plain(formatRange(21, 32))).toBe("21–32 s");
  expect(plain(formatRange(50, 600))).toBe("50 s – 10 min");
  expect(plain(formatMemory(20 * 2 ** 20))).toBe("20 MiB");
  expect([1, 2, 3, 4, 11, 12, 13, 21, 102].map(ordinal)).toEqual(
    "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd".split(" "),
  );
});

test("an example is one file, or one line of its table", () => {
  const table = {
    name: "table1",
    title: "Table 1",
    description: "A table.",
    text: "base: {}\n",
    jobs: [{ line: "ARD", spec: { kind: "distillation", method: { name: "ard" } } }],
  } as unknown as Example;
  expect(exampleOf([table], "table1", null).text).toBe("base: {}\n");
  expect(exampleOf([table], "table1", "ARD").text).toBe(
    "kind: distillation\nmethod: {name: ard}\n",
  );
  expect(exampleOf([table], "no such", null).title).toBe("Table 1");
});

test("an example without a teacher gets the largest network for its images", () => {
  const network = (name: string, parameters: number, classes = 10) =>
    ({
      name,
      status: "ready",
      parameters,
      description: { network: {}, classes, channels: 1, height: 8, width: 8 },
    }) as never;
  const text = "kind: distillation\nteacher: TEACHER # of a job\n";
  expect(needsTeacher(text)).toBe(true);
  expect(needsTeacher("teacher: mine\n")).toBe(false);
  const models = [network("small", 10), network("large", 20), network("other", 30, 100)];
  expect(withTeacher(text, models)).toBe("kind: distillation\nteacher: large # of a job\n");
  expect(withTeacher(text, [])).toBe(text);
});

test("several models to evaluate are a sweep at the radius of the first", () => {
  const model = (name: string) => ({ name, results: { "pgd-20@linf:8/255": {} } });
  const one = evaluationBody([model("a")] as never, { dataset: "digits", radius: undefined });
  expect(one).toMatchObject({ kind: "evaluation", model: "a", radius: "8/255" });
  const two = evaluationBody([model("a"), model("b")] as never, {
    dataset: undefined,
    radius: "0.15",
  });
  expect(two).toMatchObject({ base: { radius: 0.15 }, axes: { model: ["a", "b"] } });
});

test("three seeds make a sweep, one makes it a job again", () => {
  const job = "kind: distillation\nteacher: t\nseed: 0\n";
  const body = (text: string) => parseText(text).body ?? {};
  const sweep = withSeeds(job, body(job), [0, 1, 2]);
  expect(body(sweep)).toEqual({
    base: { kind: "distillation", teacher: "t" },
    axes: { seed: [0, 1, 2] },
  });
  expect(body(withSeeds(sweep, body(sweep), [4]))).toEqual({
    kind: "distillation",
    teacher: "t",
    seed: 4,
  });
  expect(body(withSeeds(job, body(job), []))).not.toHaveProperty("seed");
});

test("requests quote what a shell or Python would read", () => {
  const body = { name: 'it\'s $HOME "x" é', flag: true, none: null, list: [1, { a: 0.5 }] };
  const curl = curlLine(body, "http://host/d'x");
  expect(curl).toContain("'http://host/d'\\''x/v1/jobs'");
  expect(curl).toContain("<<'JSON'");
  expect(python({ a: true, b: null, c: [1, "x"] })).toBe(
    '{\n    "a": True,\n    "b": None,\n    "c": [1, "x"],\n}',
  );
  expect(pythonLines({ base: {} }, "http://host")).toContain("service.submit_sweep(");
});

// -- the shortest body of a stored spec

const STORED: JsonObject = {
  kind: "distillation",
  name: "d",
  metadata: {},
  teacher: "t",
  data: { dataset: "digits", held_out: 0.1, extra: null },
  adversary: { name: "pgd", radius: 8 / 255, steps: 7 },
  awp: { gamma: 0.005 },
  evaluation: { attacks: [{ name: "pgd", radius: 8 / 255, steps: 20 }], seed: 0 },
};
const SCHEMA: Schema = {
  properties: {
    awp: { anyOf: [{ properties: { gamma: { type: "number" } } }, { type: "null" }] },
    adversary: { properties: { radius: { anyOf: [{ type: "number" }, { type: "string" }] } } },
    evaluation: { properties: {} },
  },
};

/** As the service does: a test's radius follows the training's. */
function resolveAsService(body: JsonObject): Promise<JsonObject> {
  const own = body as Record<string, JsonObject>;
  const radius = own.adversary?.radius ?? 0.5;
  const attacks = (own.evaluation?.attacks as JsonObject[] | undefined) ?? [];
  return Promise.resolve({
    ...body,
    metadata: {},
    data: { held_out: 0.02, extra: null, ...own.data },
    adversary: { radius, steps: 10, ...own.adversary },
    awp: own.awp === undefined ? null : { gamma: 0.005, ...own.awp },
    evaluation: { attacks: attacks.map((attack) => ({ radius, steps: 20, ...attack })), seed: 0 },
  });
}

test("a clone is written without what would be the same anyway", async () => {
  expect(await minimalBody(STORED, SCHEMA, resolveAsService)).toEqual({
    kind: "distillation",
    name: "d",
    teacher: "t",
    data: { dataset: "digits", held_out: 0.1 },
    adversary: { name: "pgd", radius: "8/255", steps: 7 },
    awp: { gamma: 0.005 },
    evaluation: { attacks: [{ name: "pgd" }] },
  });
});

test("a clone that cannot be resolved is written in full", async () => {
  const body = await minimalBody(STORED, SCHEMA, () => Promise.resolve(undefined));
  expect(body).toMatchObject({ evaluation: { seed: 0 }, awp: { gamma: 0.005 } });
  expect(differences(STORED, { ...STORED, teacher: "u" }, [])).toEqual([["teacher"]]);
});
