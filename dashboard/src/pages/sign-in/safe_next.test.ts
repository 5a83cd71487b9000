import { expect, test } from "vitest";

import { safeNext } from "./safe_next";

test.each([
  ["/jobs?status=failed", "/jobs?status=failed"],
  [null, "/"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["https://evil.example", "/"],
  ["javascript:alert(1)", "/"],
  ["/sign-in?next=/sign-in", "/"],
])("after signing in, %s leads to %s", (next, path) => {
  expect(safeNext(next)).toBe(path);
});
