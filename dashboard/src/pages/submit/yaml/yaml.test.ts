import { expect, test } from "vitest";

import { asJob, asSweep, changeText, lineOf, normalized, parseText, textOf } from "./document";
import { changedLines, piecesOf } from "./line_marks";

const TEXT = `# A teacher.
kind: distillation
student: {architecture: small_cnn, width: 4}
adversary:
  name: pgd   # the usual one
  radius: 8/255
evaluation:
  attacks:
    - {name: pgd, steps: 20}
    - {name: cw}
`;

test("a field is changed and everything else stays", () => {
  const changed = changeText(TEXT, ["student", "width"], 8);
  expect(changed).toContain("{architecture: small_cnn, width: 8}");
  expect(changed).toContain("# A teacher.");
  expect(changed).toContain("# the usual one");
  expect(parseText(changed).body?.adversary).toEqual({ name: "pgd", radius: "8/255" });
});

test("objects on the way are made, and go when they are empty", () => {
  const changed = changeText(TEXT, ["schedule", "decay", "name"], "cosine");
  expect(parseText(changed).body?.schedule).toEqual({ decay: { name: "cosine" } });
  const removed = changeText(changed, ["schedule", "decay", "name"], undefined);
  expect(parseText(removed).body).not.toHaveProperty("schedule");
});

test("a number replaces a fraction, and a text is quoted where it looks like something else", () => {
  expect(changeText(TEXT, ["adversary", "radius"], 0.15)).toContain("radius: 0.15");
  const named = changeText(TEXT, ["name"], "true");
  expect(parseText(named).body?.name).toBe("true");
});

test("numbers are those of YAML 1.2", () => {
  expect(parseText("weight_decay: 5e-4\nname: no").body).toEqual({
    weight_decay: 5e-4,
    name: "no",
  });
});

test("a mistake in the text has a line and a sentence", () => {
  const { body, problem } = parseText("kind: distillation\nstudent: {width: 4\n");
  expect(body).toBeUndefined();
  expect(problem?.line).toBeGreaterThan(1);
  expect(problem?.message).toMatch(/\.$/);
  expect(parseText("- 1").problem?.message).toContain("mapping");
});

test("aliases cannot unfold without end", () => {
  const levels = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (let level = 0; level < 9; level += 1) {
    const before = String.fromCharCode(97 + level);
    const name = String.fromCharCode(98 + level);
    levels.push(`${name}: &${name} [${Array(9).fill(`*${before}`).join(", ")}]`);
  }
  expect(parseText(levels.join("\n")).problem).toBeDefined();
});

test("lines of fields, and of what misses one", () => {
  expect(lineOf(TEXT, ["adversary", "radius"])).toBe(6);
  expect(lineOf(TEXT, ["student", "width"])).toBe(3);
  expect(lineOf(TEXT, ["evaluation", "attacks", 1])).toBe(10);
  expect(lineOf(TEXT, ["adversary", "steps"])).toBe(4);
  expect(lineOf(TEXT, ["teacher"])).toBeUndefined();
});

test("a body is written on few lines", () => {
  const text = textOf({
    kind: "distillation",
    student: { architecture: "small_cnn", width: 4 },
    evaluation: { attacks: [{ name: "pgd" }], analyses: [] },
  });
  expect(text).toBe(
    "kind: distillation\nstudent: {architecture: small_cnn, width: 4}\n" +
      "evaluation:\n  attacks:\n    - {name: pgd}\n  analyses: []\n",
  );
});

test("a job becomes a sweep and a job again", () => {
  const job = "# Digits.\nkind: distillation\nname: digits\nseed: 0\nteacher: t\n";
  const sweep = asSweep(job, { seed: [0, 1, 2] });
  expect(sweep.startsWith("# Digits.\nname: digits\nbase:\n")).toBe(true);
  expect(asJob(sweep).startsWith("# Digits.\n")).toBe(true);
  expect(parseText(sweep).body).toEqual({
    name: "digits",
    base: { kind: "distillation", teacher: "t" },
    axes: { seed: [0, 1, 2] },
  });
  expect(parseText(asJob(sweep)).body).toEqual({
    kind: "distillation",
    name: "digits",
    teacher: "t",
  });
});

test("changed lines are those that the start does not have", () => {
  const start = normalized(TEXT);
  const text = changeText(changeText(start, ["name"], "x"), ["student", "width"], 8);
  const marks = changedLines(start, text);
  const marked = text.split("\n").filter((_, index) => marks[index]);
  expect(marked).toEqual(["name: x", "student: {architecture: small_cnn, width: 8}"]);
  expect(changedLines(text, text).some(Boolean)).toBe(false);
});

test("pieces of a line are the line", () => {
  const lines = [
    "  - name: pgd # it",
    "# only",
    "kind: distillation",
    "    - {a: 1}",
    "",
    "x: 'a#b'",
  ];
  for (const line of lines) {
    expect(
      piecesOf(line)
        .map(({ text }) => text)
        .join(""),
    ).toBe(line);
  }
  expect(piecesOf("  name: pgd # it").map(({ kind }) => kind)).toEqual([
    "key",
    "mark",
    "value",
    "comment",
  ]);
});
