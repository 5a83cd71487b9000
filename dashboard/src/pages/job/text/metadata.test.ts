import { expect, it } from "vitest";

import { metadataPatch, metadataText, parseMetadata } from "./metadata";

it("goes to text and back", () => {
  const metadata = { team: "vision", url: "http://x:1", empty: "" };
  expect(parseMetadata(metadataText(metadata))).toEqual({ metadata });
});

it("says which line is wrong", () => {
  expect(parseMetadata("team vision")).toEqual({ problem: "“team vision” must be “key: value”." });
  expect(parseMetadata("a: 1\na: 2")).toEqual({ problem: "There is “a” twice." });
});

it("sends only what was changed", () => {
  expect(metadataPatch({ a: "1", b: "2", c: "3" }, { a: "1", b: "4", d: "5" })).toEqual({
    c: null,
    b: "4",
    d: "5",
  });
});
