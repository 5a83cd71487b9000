// @vitest-environment jsdom
import { expect, test } from "vitest";

import { thin } from "./ChartData";
import { pushApart } from "./labels";
import { powerOfTen } from "./options";
import { thinToPixels } from "./pixels";
import {
  lastIndex,
  smoothingWeight,
  toColumns,
  toTables,
  valueBefore,
  type Columns,
  type Series,
} from "./series";
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
  expect([...smooth(Float64Array.of(2, 2, NaN, 2), 0.9)]).toEqual([2, 2, NaN, 2]);
  const [first, second] = smooth(Float64Array.of(5, 1), 0.5);
  expect(first).toBe(5);
  expect(second).toBeCloseTo(7 / 3);
});

const series = (id: string, points: [number, number][]): Series => {
  return { id, label: id, points, color: 1 };
};

test("short series are smoothed less", () => {
  expect(smoothingWeight(0.9, 3000)).toBe(0.9);
  expect(smoothingWeight(0.9, 30)).toBe(0.5);
  expect(smoothingWeight(0, 30)).toBe(0);
});

const columnsOf = (all: Series[], smoothing?: number, xEnd?: number) =>
  toColumns(toTables(all), { smoothing, xEnd });
/** As uPlot gets them, with nothing left out. */
const drawn = (columns: Columns) => thinToPixels(columns, undefined, 1000);
const A: [number, number][] = [
  [1, 2],
  [2, 3],
];

test("series of the same steps share one column of x", () => {
  const same = series("b", [
    [1, 5],
    [2, 6],
  ]);
  const columns = columnsOf([series("a", A), same], undefined, 4);
  expect(drawn(columns)).toEqual([
    [1, 2, 4],
    [2, 3, null],
    [5, 6, null],
  ]);
  expect(columns.lines.map((line) => line.series.id)).toEqual(["a", "b"]);
});

test("an axis that begins near zero begins at zero", () => {
  const from = (x: number) =>
    series("a", [
      [x, 2],
      [900, 3],
    ]);
  expect(drawn(columnsOf([from(10)]))).toEqual([
    [0, 10, 900],
    [null, 2, 3],
  ]);
  expect(drawn(columnsOf([from(500)]))[0]).toEqual([500, 900]);
});

test("series of other steps are merged by x", () => {
  const other = series("b", [
    [2, 4],
    [3, 5],
  ]);
  expect(drawn(columnsOf([series("a", A), other]))).toEqual([
    [1, 2, 3],
    [2, 3, null],
    [null, 4, 5],
  ]);
});

test("a smoothed line lies over its raw one", () => {
  const { lines, ys } = columnsOf([series("a", A)], 0.5);
  expect(lines.map(({ isRaw }) => isRaw)).toEqual([true, false]);
  expect(ys[1]).not.toEqual(ys[0]);
});

test("without smoothing both lines are the raw one", () => {
  const { lines, ys } = columnsOf([series("a", A)], 0);
  expect(lines.map(({ isRaw }) => isRaw)).toEqual([true, false]);
  expect(ys[1]).toBe(ys[0]);
});

/** 100,000 points with a spike down at 30,000 and one up at 70,000. */
const long = series(
  "long",
  Array.from({ length: 100_000 }, (_, x) => [x, x === 30_000 ? -9 : x === 70_000 ? 9 : x % 2]),
);

test("thinning keeps spikes, ends and what each pixel covers", () => {
  const [x = [], y = []] = thinToPixels(columnsOf([long]), undefined, 500).map((all) => [...all]);
  expect(x.length).toBeLessThanOrEqual(4 * 501);
  expect([x[0], x.at(-1)]).toEqual([0, 99_999]);
  expect([x[y.indexOf(-9)], x[y.indexOf(9)]]).toEqual([30_000, 70_000]);
  for (let pixel = 0; pixel < 500; pixel += 1) {
    const within = y.filter((_, index) => Math.floor((x[index]! * 500) / 99_999) === pixel);
    expect(new Set(within).size).toBeGreaterThanOrEqual(2);
  }
});

test("a zoom is thinned by itself, and its lines run to the edges", () => {
  const [x] = thinToPixels(columnsOf([long]), [1000.5, 1100.5], 500);
  const within = Array.from({ length: 102 }, (_, index) => 1000 + index);
  expect(Array.from(x)).toEqual([0, ...within, 99_999]);
});

test("lines with gaps keep their own last point", () => {
  const short = { ...long, id: "short", points: long.points.slice(0, 50_001) };
  const [x, , y] = thinToPixels(columnsOf([long, short]), undefined, 500);
  expect(x[lastIndex(y!)]).toBe(50_000);
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
