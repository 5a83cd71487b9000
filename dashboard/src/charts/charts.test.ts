// @vitest-environment jsdom
import { expect, test } from "vitest";

import { thin } from "./ChartData";
import { pushApart } from "./labels";
import { powerOfTen } from "./options";
import { lastIndex, smoothingWeight, toColumns, valueBefore, type Series } from "./series";
import { smooth } from "./smoothing";

const gaps = (positions: number[]) => {
  const sorted = [...positions].sort((a, b) => a - b);
  return sorted.slice(1).map((position, index) => position - sorted[index]!);
};

test("labels that do not touch stay where their lines end", () => {
  expect(pushApart([10, 60, 100], 8, 180)).toEqual([10, 60, 100]);
});

test("labels that touch move apart around their middle", () => {
  expect(pushApart([50, 50], 8, 180)).toEqual([42, 58]);
});

test("labels keep the order of their lines and stay inside", () => {
  const wishes = [175, 170, 178, 179, 5];
  const positions = pushApart(wishes, 8, 180);
  expect(Math.min(...gaps(positions))).toBeGreaterThanOrEqual(16);
  expect(Math.max(...positions)).toBeLessThanOrEqual(180);
  expect(Math.min(...positions)).toBeGreaterThanOrEqual(8);
  expect(positions[1]!).toBeLessThan(positions[0]!);
  expect(positions[0]!).toBeLessThan(positions[2]!);
});

test("any labels that fit are 16 px apart", () => {
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round += 1) {
    const wishes = Array.from({ length: 2 + Math.floor(random() * 8) }, () => random() * 180);
    const positions = pushApart(wishes, 8, 180);
    expect(Math.min(...gaps(positions))).toBeGreaterThanOrEqual(16 - 1e-9);
  }
});

test("smoothing keeps a constant, gaps, and the first value", () => {
  expect(smooth([2, 2, null, 2], 0.9)).toEqual([2, 2, null, 2]);
  expect(smooth([5, 1], 0.5)[0]).toBe(5);
  expect(smooth([5, 1], 0.5)[1]).toBeCloseTo(7 / 3);
});

const series = (id: string, points: [number, number][]): Series => {
  return { id, label: id, points, color: 1 };
};

test("short series are smoothed less", () => {
  expect(smoothingWeight(0.9, 3000)).toBe(0.9);
  expect(smoothingWeight(0.9, 30)).toBe(0.5);
  expect(smoothingWeight(0, 30)).toBe(0);
});

test("series of the same steps share one column of x", () => {
  const { data, lines } = toColumns(
    [
      series("a", [
        [1, 2],
        [2, 3],
      ]),
      series("b", [
        [1, 5],
        [2, 6],
      ]),
    ],
    { smoothing: 0, xEnd: 4 },
  );
  expect(data).toEqual([
    [1, 2, 4],
    [2, 3, null],
    [5, 6, null],
  ]);
  expect(lines.map((line) => line.series.id)).toEqual(["a", "b"]);
});

test("an axis that begins near zero begins at zero", () => {
  const near = toColumns(
    [
      series("a", [
        [10, 2],
        [900, 3],
      ]),
    ],
    { smoothing: 0, xEnd: undefined },
  );
  expect(near.data).toEqual([
    [0, 10, 900],
    [null, 2, 3],
  ]);
  const far = toColumns(
    [
      series("a", [
        [500, 2],
        [900, 3],
      ]),
    ],
    { smoothing: 0, xEnd: undefined },
  );
  expect(far.data[0]).toEqual([500, 900]);
});

test("series of other steps are merged by x", () => {
  const { data } = toColumns([series("a", [[1, 2]]), series("b", [[3, 4]])], {
    smoothing: 0,
    xEnd: undefined,
  });
  expect(Array.from(data[0])).toEqual([1, 3]);
});

test("a smoothed line lies over its raw one", () => {
  const { lines } = toColumns([series("a", [[1, 2]])], { smoothing: 0.5, xEnd: undefined });
  expect(lines.map(({ isRaw }) => isRaw)).toEqual([true, false]);
});

test("values at the cursor are those of the last point before it", () => {
  expect(lastIndex([1, 2, null, null])).toBe(1);
  expect(lastIndex([null])).toBe(-1);
  expect(valueBefore([1, null, null, 4], 2)).toBe(1);
  expect(valueBefore([null, 4], 0)).toBeUndefined();
});

test("a log axis names powers of ten only", () => {
  expect([1, 10, 0.001, 1e12, 20, null].map(powerOfTen)).toEqual([
    "1",
    "10",
    "10⁻³",
    "10¹²",
    "",
    "",
  ]);
});

test("a thinned table keeps its first and last row", () => {
  const rows = Array.from({ length: 1000 }, (_, index) => index);
  expect(thin(rows, 3)).toEqual([0, 500, 999]);
  expect(thin([1, 2], 3)).toEqual([1, 2]);
});
