import { expect, test } from "vitest";

import { plainAnswer } from "@/components/page/answer";

import { readView } from "./address";
import { curveGroups, seriesOf } from "./charts/curves";
import { linePath, parallelAxes } from "./charts/parallel";
import { axisOf } from "./charts/scale";
import { frontOf, groupPoints, placeLabels, pointsOf } from "./charts/scatter";
import {
  chosenGrouping,
  groupsOf,
  labelsOf,
  meanCurve,
  possibleGroupings,
  runsOf,
  sortedRows,
  spreadOf,
  type ComparedJob,
  type Comparison,
  type Difference,
  type Row,
  type Section,
} from "./runs";
import {
  answer,
  differenceInterval,
  formatP,
  labelMap,
  tableNote,
  verdictDetail,
} from "./sentences";
import { valueCounts } from "./settings_text";

const AA = "autoattack@linf:0.15";

function job(id: string, changes: Partial<ComparedJob> = {}): ComparedJob {
  const base = { id, name: id, kind: "distillation", status: "succeeded", method: "ard" };
  const rest = { dataset_id: "ds_digits", sweep_line: null, metadata: {} };
  return { ...base, ...rest, ...changes } as ComparedJob;
}

function difference(changes: Partial<Difference> = {}): Difference {
  return {
    value: 0.0694,
    low: 0.032,
    high: 0.107,
    p: 0.0001,
    adjusted_p: 0.0004,
    verdict: "higher",
    paired: true,
    only_this: 28,
    only_other: 3,
    note: null,
    ...changes,
  };
}

function row(id: string, clean: number, robust: number, changes: Partial<Row> = {}): Row {
  const accuracy = (value: number) => ({
    value,
    low: value - 0.05,
    high: value + 0.05,
    images: 360,
  });
  const results = { clean: accuracy(clean), [AA]: accuracy(robust) };
  return {
    job_id: id,
    network: "best",
    results,
    differences: {},
    pareto: false,
    ...changes,
  };
}

function section(rows: Row[]): Section {
  return {
    dataset_id: "ds_digits",
    dataset: "digits",
    threat_model: { norm: "linf", radius: 0.15, title: "L∞, 0.15" },
    deciding: AA,
    measures: ["clean", AA],
    descriptions: { clean: { label: "Clean" }, [AA]: { label: "AutoAttack" } },
    comparisons: rows.length - 1,
    rows,
  } as unknown as Section;
}

function comparison(jobs: ComparedJob[], different: Comparison["settings"]["different"] = []) {
  return { base: jobs[0]?.id ?? "", jobs, settings: { different, equal: 40 }, sections: [] };
}

const SEEDS = { path: "seed", values: [0, 1, 0, 1] };
const FOUR = [
  job("a", { method: "ard" }),
  job("b", { method: "ard" }),
  job("c", { method: "starship" }),
  job("d", { method: "starship" }),
];

test("ids stand in one parameter or in several", () => {
  const parameters = new URLSearchParams("jobs=a,b&job=c&jobs=a");
  expect(readView(parameters).ids).toEqual(["a", "b", "c"]);
});

test("runs have the shortest names that tell them apart", () => {
  expect(labelsOf([FOUR[0]!, FOUR[2]!], [])).toEqual(["ARD", "STARSHIP"]);
  expect(labelsOf(FOUR, [SEEDS])).toEqual([
    "ARD seed 0",
    "ARD seed 1",
    "STARSHIP seed 0",
    "STARSHIP seed 1",
  ]);
  expect(labelsOf(FOUR, [])).toEqual(["a", "b", "c", "d"]);
  const radii = { path: "adversary.radius", values: [0.15, 8 / 255] };
  expect(labelsOf(FOUR.slice(0, 2), [radii])).toEqual(["ARD at 0.15", "ARD at 8/255"]);
});

test("jobs of one name are told apart by their ids", () => {
  const twins = [job("job_00000001", { name: "x" }), job("job_00000002", { name: "x" })];
  expect(labelsOf(twins, [])).toEqual(["x (0000001)", "x (0000002)"]);
});

test("up to eight runs have a color each, more only when they are pinned", () => {
  const few = runsOf(comparison(FOUR, [SEEDS]), "none", []);
  expect(few.map(({ color }) => color)).toEqual([1, 2, 3, 4]);
  const many = Array.from({ length: 9 }, (_, index) => job(`job ${index}`));
  const colors = runsOf(comparison(many), "none", ["job 3"]).map(({ color }) => color);
  expect(colors.filter((color) => color !== "rest")).toEqual([1]);
  expect(colors[3]).toBe(1);
});

test("a group shares a color", () => {
  const runs = runsOf(comparison(FOUR, [SEEDS]), "method", []);
  expect(runs.map(({ color, group }) => `${group ?? ""} ${color}`)).toEqual([
    "ARD 1",
    "ARD 1",
    "STARSHIP 2",
    "STARSHIP 2",
  ]);
  expect(groupsOf(runs).map((group) => group.runs.length)).toEqual([2, 2]);
});

test("grouping is offered where groups have several runs", () => {
  expect(possibleGroupings(FOUR)).toEqual(["method"]);
  expect(possibleGroupings([FOUR[0]!, FOUR[2]!])).toEqual([]);
  expect(chosenGrouping(FOUR, undefined)).toBe("none");
  expect(chosenGrouping(FOUR, "method")).toBe("method");
  expect(chosenGrouping(FOUR, "line")).toBe("none");
});

test("the deviation is that of a sample, and none for one run", () => {
  expect(spreadOf([1, 3])).toEqual({ mean: 2, deviation: Math.SQRT2, count: 2 });
  expect(spreadOf([5])?.deviation).toBeUndefined();
  expect(spreadOf([])).toBeUndefined();
});

test("a mean curve has the steps that all runs have", () => {
  const first = [
    [1, 0.2],
    [2, 0.4],
  ] as [number, number][];
  const second = [
    [1, 0.4],
    [2, 0.6],
    [3, 1],
  ] as [number, number][];
  const mean = meanCurve([first, second]);
  expect(mean.map(([step]) => step)).toEqual([1, 2]);
  expect(mean[0]![1]).toBeCloseTo(0.3);
});

test("missing values are last in both directions", () => {
  const missing = { ...row("c", 0.9, 0.5), results: {} };
  const rows = [row("a", 0.9, 0.4), missing, row("b", 0.9, 0.6)];
  expect(sortedRows(rows, `-${AA}`).map(({ job_id: id }) => id)).toEqual(["b", "a", "c"]);
  expect(sortedRows(rows, AA).map(({ job_id: id }) => id)).toEqual(["a", "b", "c"]);
});

test("the answer says which differences are real", () => {
  const rows = [
    row("starship", 0.93, 0.5667, { differences: { [AA]: difference() } }),
    row("rslad", 0.93, 0.4972),
    row("arkd", 0.925, 0.4861, {
      differences: { [AA]: difference({ verdict: "not distinguishable" }) },
    }),
    row("ard", 0.874, 0.3, { differences: { [AA]: difference({ verdict: "lower" }) } }),
  ];
  const labels = new Map(rows.map(({ job_id: id }) => [id, id.toUpperCase()]));
  expect(plainAnswer(answer(section(rows), "rslad", labels))).toBe(
    "STARSHIP holds 56.67 % (51.7–61.7) under AutoAttack, the most of 4, more than RSLAD on the " +
      "same images. ARKD is not distinguishable from RSLAD with 360 images. " +
      "ARD is lower than RSLAD. Clean accuracy lies within 5.6 points.",
  );
});

test("the best that is not clearly better is not called better", () => {
  const rows = [
    row("a", 0.9, 0.51, {
      differences: { [AA]: difference({ verdict: "not distinguishable" }) },
    }),
    row("b", 0.9, 0.5),
  ];
  const labels = new Map([
    ["a", "A"],
    ["b", "B"],
  ]);
  expect(plainAnswer(answer(section(rows), "b", labels))).toContain(
    "but not distinguishable from B. Clean accuracy is equal.",
  );
});

test("jobs without results are said to be untested", () => {
  const labels = labelMap(runsOf(comparison(FOUR), "none", []));
  expect(plainAnswer(answer(undefined, "a", labels))).toBe(
    "None of these jobs has been tested yet.",
  );
});

test("a verdict comes with its test", () => {
  const detail = verdictDetail(difference(), "STARSHIP", "RSLAD").replaceAll("\u00a0", " ");
  expect(detail).toBe("p < 0.001; 28 images only STARSHIP holds, 3 only RSLAD");
  expect(differenceInterval(difference())).toBe("+3.2 to +10.7");
  expect([0.75, 0.0131, 0.00099].map(formatP)).toEqual(["p = 0.75", "p = 0.013", "p < 0.001"]);
});

test("the table's note says what was adjusted", () => {
  const note = tableNote(
    section([row("a", 0.9, 0.5), row("b", 0.9, 0.4), row("c", 0.9, 0.4)]),
    "A",
  );
  expect(note.replaceAll("\u00a0", " ")).toBe(
    "test accuracy, % · 95 % Wilson interval below · difference to A in points on the same " +
      "360 images, under AutoAttack; McNemar, intervals and p for 2 comparisons",
  );
});

test("each value has the number of runs that have it", () => {
  expect(valueCounts([10, 2, 10, null])).toEqual([
    { text: "10", count: 2 },
    { text: "–", count: 1 },
    { text: "2", count: 1 },
  ]);
});

test("axes have few round ticks and hold all values", () => {
  for (const values of [
    [12, 61],
    [88.9, 94.4],
    [0, 0.5],
    [50, 50],
    [0, 100],
  ]) {
    const { low, high, ticks } = axisOf(values, 0, 100);
    expect(low).toBeLessThanOrEqual(Math.min(...values));
    expect(high).toBeGreaterThanOrEqual(Math.max(...values));
    expect(ticks.length).toBeGreaterThanOrEqual(2);
    expect(ticks.length).toBeLessThanOrEqual(7);
  }
});

test("the front goes from robust to accurate", () => {
  const rows = [
    row("a", 0.9, 0.6, { pareto: true }),
    row("b", 0.95, 0.5, { pareto: true }),
    row("c", 0.9, 0.4),
  ];
  const runs = runsOf(comparison([job("a"), job("b"), job("c")]), "none", []);
  const points = pointsOf(rows, runs, AA);
  expect(frontOf(points).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(points[0]).toMatchObject({ clean: 90, robust: 60, isChosen: true });
});

test("a group's point is its mean", () => {
  const rows = [row("a", 0.9, 0.6), row("b", 0.8, 0.4), row("c", 0.9, 0.5), row("d", 0.9, 0.5)];
  const runs = runsOf(comparison(FOUR, [SEEDS]), "method", []);
  const [mean] = groupPoints(pointsOf(rows, runs, AA), groupsOf(runs));
  expect(mean?.clean).toBeCloseTo(85);
  expect(mean?.robust).toBeCloseTo(50);
});

test("words never cover words or points", () => {
  const spots = Array.from({ length: 30 }, (_, index) => ({
    x: 20 + index * 9,
    y: 60,
    text: "ARD",
  }));
  const placed = placeLabels(spots, [], { width: 400, height: 200 });
  expect(placed.length).toBeGreaterThan(0);
  expect(placed.length).toBeLessThan(30);
});

test("parallel axes are settings that many have, then measures", () => {
  const rows = [row("a", 0.9, 0.6), row("b", 0.8, 0.4), row("c", 0.9, 0.5)];
  const settings = [
    { path: "seed", values: [0, 1, 2] },
    { path: "teacher", values: ["x", "y", "z"] },
    { path: "method.gram.weight", values: [2, null, null] },
    { path: "method.name", values: ["ard", "ard", "rslad"] },
  ];
  const compared = comparison([job("a"), job("b"), job("c")], settings);
  const axes = parallelAxes(compared, section(rows));
  expect(axes.map(({ id }) => id)).toEqual(["method.name", "seed", "clean", AA]);
  expect(axes[1]!.shares.get("b")).toBe(0.5);
  expect(axes[0]).toMatchObject({ low: "ARD", high: "RSLAD" });
});

test("a line is broken where a run has no value", () => {
  const axis = (value: number | undefined) => ({
    id: "",
    title: "",
    low: "",
    high: "",
    shares: new Map(value === undefined ? [] : [["a", value]]),
  });
  const path = linePath(
    [axis(0), axis(undefined), axis(1)],
    "a",
    (i) => i,
    (share) => share,
  );
  expect(path).toBe("M0.0 0.0M2.0 1.0");
});

test("runs that were trained under unlike threat models have charts of their own", () => {
  const jobs = [job("a"), job("b"), job("c", { dataset_id: "ds_other" })];
  const settings = [{ path: "adversary.radius", values: [0.15, 0.1, 0.15] }];
  expect(curveGroups(comparison(jobs, settings)).map(({ ids }) => ids)).toEqual([
    ["a"],
    ["b"],
    ["c"],
  ]);
  expect(curveGroups(comparison(jobs.slice(0, 2)))).toHaveLength(1);
});

test("background lines lie below the others", () => {
  const jobs = Array.from({ length: 9 }, (_, index) => job(`j${index}`));
  const runs = runsOf(comparison(jobs), "none", ["j0"]);
  const curves = new Map(jobs.map(({ id }) => [id, [[1, 0.5]] as [number, number][]]));
  const series = seriesOf(runs, [], curves, "j5");
  expect(series.slice(-2).map(({ id, color }) => `${id} ${color}`)).toEqual(["j0 1", "j5 robust"]);
  expect(series[0]).toMatchObject({ faint: true, color: "rest", points: [[1, 50]] });
});
