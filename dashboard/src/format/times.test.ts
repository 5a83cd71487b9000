import { expect, test } from "vitest";

import { formatAge, formatClock, formatDuration, formatExact, formatWhen } from "./times";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

test.each([
  [0.42, "0.4 s"],
  [31.2, "31 s"],
  [122, "2 min 02 s"],
  [540, "9 min"],
  [59.7, "1 min"],
  [3599, "1 h"],
  [12_000, "3 h 20 min"],
  [187_200, "2 d 4 h"],
  [0, "0 s"],
])("a duration of %d s is %s", (seconds, text) => {
  expect(plain(formatDuration(seconds))).toBe(text);
});

test.each([
  [0.3, "just now"],
  [8.9, "8 s ago"],
  [299, "4 min ago"],
  [90_000, "25 h ago"],
  [400_000, "4 d ago"],
])("an age of %d s is %s", (seconds, text) => {
  expect(plain(formatAge(seconds))).toBe(text);
});

test("times are UTC, and say the day only where it is another", () => {
  const at = new Date("2026-11-27T11:15:29.123Z");
  expect(formatClock(at)).toBe("11:15");
  expect(formatClock(at, true)).toBe("11:15:29");
  expect(formatExact(at)).toBe("2026-11-27 11:15:29 UTC");
  expect(plain(formatWhen(at, new Date("2026-11-27T23:00:00Z")))).toBe("11:15");
  expect(plain(formatWhen(at, new Date("2026-11-28T00:10:00Z")))).toBe("27 Nov");
  expect(plain(formatWhen(at, new Date("2027-01-01T00:10:00Z")))).toBe("27 Nov 2026");
});
