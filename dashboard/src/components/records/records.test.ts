import { expect, test } from "vitest";

import { ApiProblem } from "@/api/problem";

import { isWrong, metadataPatch, metadataText, parseMetadata } from "./metadata";
import { settingsBody, settingsFields } from "./settings_schema";
import { fieldError, isOutdated } from "./versioned";

test("metadata round trip through text", () => {
  const metadata = { team: "vision", note: "a=b" };
  expect(parseMetadata(metadataText(metadata))).toEqual(metadata);
});

test("a line without an equals sign is named", () => {
  const parsed = parseMetadata("a=1\nb");
  expect(isWrong(parsed) && parsed.wrongLine).toBe(2);
  expect(isWrong(parseMetadata("wrongLine=2"))).toBe(false);
});

test("a merge patch removes by null and leaves out what is equal", () => {
  expect(metadataPatch({ a: "1", b: "2", c: "3" }, { a: "1", b: "4", d: "5" })).toEqual({
    b: "4",
    c: null,
    d: "5",
  });
});

test("problems belong to their fields", () => {
  const error = new ApiProblem({
    status: 422,
    errors: [{ path: ["network", "width"], message: "Must be at least 1, not 0." }],
  });
  expect(fieldError(error, "network", "width")).toBe("Must be at least 1, not 0.");
  expect(fieldError(error, "name")).toBeUndefined();
  expect(isOutdated(error)).toBe(false);
  expect(isOutdated(new ApiProblem({ status: 412 }))).toBe(true);
});

test("settings are fields of their schema, without what chooses them", () => {
  const fields = settingsFields({
    properties: {
      architecture: { const: "small_cnn" },
      width: { type: "integer", title: "Width", default: 16, minimum: 1, maximum: 512 },
      normalization: { type: "string", enum: ["none", "cifar10"], default: "none" },
    },
  });
  expect(fields.map(({ name }) => name)).toEqual(["width", "normalization"]);
  expect(fields[0]).toMatchObject({ title: "Width", initial: "16", aside: "1–512" });
  expect(settingsBody(fields, { width: "8", normalization: "" })).toEqual({ width: 8 });
  expect(settingsBody(fields, { width: "8.5" })).toEqual({ width: 8.5 });
  expect(settingsBody(fields, { width: "wide" })).toEqual({ width: "wide" });
});
