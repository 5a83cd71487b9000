import { expect, test } from "vitest";

import { formatBytes, formatGibOf } from "./bytes";
import {
  enumerate,
  formatInterval,
  formatNumber,
  formatPercent,
  formatShare,
  formatSignificant,
  formatSigned,
  median,
  plural,
} from "./numbers";

test("thousands have commas and minus is a true minus", () => {
  expect(formatNumber(24058)).toBe("24,058");
  expect(formatNumber(-1234.56, 1)).toBe("\u22121,234.6");
});

test("a negative number that rounds to zero has no sign", () => {
  expect(formatNumber(-0.001, 2)).toBe("0.00");
  expect(formatSigned(-0.001)).toBe("0.00");
});

test("shares are per cent with two decimals", () => {
  expect(formatShare(0.93333)).toBe("93.33");
  expect(formatPercent(0.785, 1)).toBe("78.5\u00a0%");
  expect(formatInterval([0.6081, 0.7049])).toBe("60.8–70.5");
});

test("differences always have a sign", () => {
  expect(formatSigned(3.889)).toBe("+3.89");
  expect(formatSigned(-10)).toBe("\u221210.00");
});

test("losses and rates keep four significant digits", () => {
  expect(formatSignificant(0.123456)).toBe("0.1235");
  expect(formatSignificant(110_000.4)).toBe("110000");
  expect(formatSignificant(0.00001)).toBe("1e\u22125");
  expect(formatSignificant(-2.5e9)).toBe("\u22122.5e9");
  expect(formatSignificant(0)).toBe("0");
});

test("counts in sentences", () => {
  expect(plural(1, "job")).toBe("1\u00a0job");
  expect(plural(5, "job")).toBe("5\u00a0jobs");
  expect(plural(0, "epoch")).toBe("no epochs");
  expect(enumerate(["a", "b", "c"])).toBe("a, b and c");
  expect(enumerate(["a"])).toBe("a");
});

test("the median of an even number of values is between two", () => {
  expect(median([3, 1])).toBe(2);
  expect(median([5, 1, 2])).toBe(2);
  expect(median([])).toBeUndefined();
});

test("files are in decimal units, memory in GiB", () => {
  expect(formatBytes(12)).toBe("12\u00a0B");
  expect(formatBytes(866_200)).toBe("866.2\u00a0kB");
  expect(formatBytes(999_960)).toBe("1.0\u00a0MB");
  expect(formatGibOf(3.2 * 2 ** 30, 23.5 * 2 ** 30)).toBe("3.2 of 23.5\u00a0GiB");
  expect(formatGibOf(68 * 2 ** 30, 252 * 2 ** 30)).toBe("68 of 252\u00a0GiB");
});
