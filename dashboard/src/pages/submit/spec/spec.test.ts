import { expect, test } from "vitest";

import { formatEntry, parseAxis, parseEntry } from "./entry";
import { clonePatch } from "./merge_patch";
import { fieldAt, firstSentence, jobSchema, missingKinds, type Field, type Schema } from "./schema";
import type { JsonObject } from "./values";

const RADIUS: Schema = {
  anyOf: [
    { type: "number", minimum: 0 },
    { type: "string", pattern: "^[0-9]+/[0-9]+$" },
  ],
  default: 8 / 255,
};
const SCHEMA: Schema = {
  oneOf: [{ $ref: "#/$defs/Training" }],
  discriminator: { propertyName: "kind" },
  $defs: {
    Training: {
      properties: {
        kind: { const: "training", type: "string" },
        adversary: {
          oneOf: [{ $ref: "#/$defs/Pgd" }, { $ref: "#/$defs/Fgsm" }],
          discriminator: { propertyName: "name" },
          default: { name: "pgd", steps: 7 },
        },
        limit: { anyOf: [{ type: "integer" }, { type: "null" }], description: "At most." },
        attacks: { type: "array", items: { $ref: "#/$defs/Pgd" } },
      },
    },
    Pgd: {
      properties: {
        name: { const: "pgd", type: "string" },
        radius: RADIUS,
        steps: { type: "integer", default: 10 },
      },
    },
    Fgsm: { properties: { name: { const: "fgsm" }, noise: { type: "number", default: 2 } } },
  },
};

const TRAINING = jobSchema(SCHEMA, "training")!;

test("a field's default is that of the nearest object that names it", () => {
  expect(fieldAt(TRAINING, {}, ["adversary", "steps"])?.default).toBe(7);
  expect(fieldAt(TRAINING, { adversary: { name: "pgd" } }, ["adversary", "steps"])?.default).toBe(
    7,
  );
  expect(fieldAt(TRAINING, {}, ["attacks", 0, "steps"])?.default).toBe(10);
});

test("a kind that the body does not have has no fields", () => {
  const body = { adversary: { name: "fgsm" } };
  expect(fieldAt(TRAINING, body, ["adversary", "steps"])).toBeUndefined();
  expect(fieldAt(TRAINING, body, ["adversary", "noise"])?.default).toBe(2);
});

test("a part of what is missing needs its kind first", () => {
  const missing = (body: JsonObject) => missingKinds(TRAINING, body, {}, ["adversary", "steps"]);
  expect(missing({})).toEqual([{ path: ["adversary", "name"], kind: "pgd" }]);
  expect(missing({ adversary: { name: "pgd" } })).toEqual([]);
});

test("null is taken out of a union, and said", () => {
  const field = fieldAt(TRAINING, {}, ["limit"]);
  expect(field).toMatchObject({ type: "integer", isNullable: true, description: "At most." });
});

test("the first sentence ends at no abbreviation", () => {
  const describe = (description: string) => firstSentence({ description });
  expect(describe("Robust accuracy under PGD at many radii (Fig. 3b of the paper)")).toContain(
    "3b",
  );
  expect(describe("TRADES (Zhang et al., ICML 2019). A larger one. Third.")).toBe(
    "TRADES (Zhang et al., ICML 2019). A larger one.",
  );
  expect(describe("First iterate of the attack, on pixels in all: gaussian: x + 0.001")).toBe(
    "First iterate of the attack, on pixels in all.",
  );
});

const NUMBER: Field = { type: "number", isNullable: false };
const FRACTION: Field = { ...RADIUS, isNullable: false };

test.each([
  ["0.15", 0.15],
  ["8/255", "8/255"],
  [" 8 / 255 ", "8/255"],
  ["5e-4", 5e-4],
  [".5", 0.5],
  ["", undefined],
  ["abc", "abc"],
])("%j in a radius is %j", (text, value) => {
  expect(parseEntry(text, FRACTION)).toEqual(value);
});

test("a fraction in a field that takes none is left for the service to refuse", () => {
  expect(parseEntry("1/3", NUMBER)).toBe("1/3");
  expect(parseEntry("\u22121", NUMBER)).toBe(-1);
});

test("lists are separated by commas", () => {
  const list: Field = { type: "array", items: { type: "integer" }, isNullable: false };
  expect(parseEntry("74, 90,", list)).toEqual([74, 90]);
  expect(formatEntry([74, 90])).toBe("74, 90");
  expect(parseAxis('0, true, starship, {"name": "ard", "alpha": 1}, {broken')).toEqual([
    0,
    true,
    "starship",
    { name: "ard", alpha: 1 },
    "{broken",
  ]);
});

test("a clone's patch removes, changes and replaces", () => {
  const stored = {
    kind: "distillation",
    name: "old",
    metadata: { name: "a", team: "vision" },
    method: { name: "starship", beta: 0.8, gram: { weight: 2 } },
    adversary: { name: "pgd", radius: 0.1, steps: 10 },
    averaging: null,
    evaluation: { attacks: [{ name: "pgd" }] },
  };
  const body = {
    kind: "distillation",
    name: "new",
    metadata: { name: "b" },
    method: { name: "arkd" },
    adversary: { name: "pgd", radius: 0.2 },
    evaluation: { attacks: [{ name: "pgd" }] },
  };
  expect(clonePatch(stored, body)).toEqual({
    name: "new",
    metadata: { name: "b", team: null },
    method: { name: "arkd" },
    adversary: { radius: 0.2, steps: null },
  });
});
