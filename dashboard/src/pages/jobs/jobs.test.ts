import { expect, test } from "vitest";

import { canRetry } from "@/api/retry";

import type { JobSummary, Status } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";
import { parseMeasure } from "@/format/measures";

import { changed, chipsOf, cleared, readView, sortChanges, toQuery } from "./address";
import { filterChanges, formError } from "./filters/filter_form";
import {
  accuracyOf,
  chosenScope,
  decidingMeasure,
  measuresOf,
  scopesOf,
  usualMeasures,
} from "./measures";
import { answer, applicable, jobsText, rowsText } from "./sentences";

const AA = "autoattack@linf:0.15";

function job(changes: Partial<JobSummary> = {}): JobSummary {
  const base = { id: "job_0000001", kind: "distillation", name: "a", metadata: {}, intervals: {} };
  const rest = { status: "succeeded", dataset: "digits", dataset_id: "ds_digits", results: null };
  return { ...base, ...rest, ...changes } as JobSummary;
}

const tested = (id: string, best: Record<string, number>, changes: Partial<JobSummary> = {}) =>
  job({ id, results: { best }, ...changes });

const search = (text: string) => new URLSearchParams(text);

test("the address has the filters under REST's names", () => {
  const view = readView(
    search("status=failed&status=queued&method=ard&metadata[owner]=anna&result[clean]=>=0.9&q=x"),
  );
  expect(view.filters).toEqual({
    status: ["failed", "queued"],
    method: "ard",
    metadata: { owner: "anna" },
    result: { clean: ">=0.9" },
    q: "x",
  });
  expect(view.sort).toBe("-created_at");
  expect(view.limit).toBe(50);
});

test("a page size that is not offered is the usual one", () => {
  expect(readView(search("limit=100000")).limit).toBe(50);
  expect(readView(search("limit=200")).limit).toBe(200);
});

test("keys with a number sign do not cut the request's address", () => {
  expect(toQuery({ result: { "pgd-20@linf:8/255#2": ">0" } }).result).toEqual({
    "pgd-20%40linf%3A8%2F255%232": ">0",
  });
});

test("another filter begins at the first page, a selection does not", () => {
  const page = search("after=cursor&selected=a");
  expect(changed(page, { method: "ard" }).get("after")).toBeNull();
  expect(changed(page, { selected: "a,b" }).get("after")).toBe("cursor");
  expect(changed(page, { selected: "" }).has("selected")).toBe(false);
});

test("all filters are removed, order and columns stay", () => {
  const left = cleared(search("status=failed&q=x&metadata[a]=b&sort=created_at&column=id"));
  expect(left.toString()).toBe("sort=created_at&column=id");
});

test("without filters the first page is shown again", () => {
  expect(cleared(search("status=failed&after=cursor")).toString()).toBe("");
  expect(cleared(search("after=cursor&limit=200")).toString()).toBe("limit=200");
});

test("chips say filters in words", () => {
  const chips = chipsOf({ method: "starship", result: { [AA]: ">=0.4,<0.5" }, q: "x" });
  expect(chips.map(({ label, value }) => `${label} ${value}`.replaceAll("\u00a0", " "))).toEqual([
    "Method STARSHIP",
    "AutoAttack, L∞ 0.15 ≥ 40.00 % and < 50.00 %",
  ]);
});

test("an order by a result holds within one data set", () => {
  expect(sortChanges(`-${AA}`, "ds_digits")).toEqual({ sort: `-${AA}`, dataset: "ds_digits" });
  expect(sortChanges("created_at", "ds_digits")).toEqual({ sort: "created_at" });
});

function form(entries: Record<string, string>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(entries)) data.append(name, value);
  return data;
}

test("the filter form becomes an address", () => {
  const changes = filterChanges(
    form({
      status: "failed",
      method: "",
      metadata_key: "a",
      metadata_value: "b",
      result_key: AA,
      result_least: "57.3",
    }),
  );
  expect(changes).toMatchObject({
    status: ["failed"],
    kind: [],
    method: "",
    "metadata[a]": "b",
    [`result[${AA}]`]: ">=0.573",
  });
});

test("the filter form names what is wrong", () => {
  expect(formError(form({ result_key: AA, result_least: "120" }))).toBe(
    "Must be a number from 0 to 100, not “120”.",
  );
  expect(formError(form({ result_least: "50" }))).toBe("Choose a result, too.");
  expect(formError(form({ metadata_key: "a b" }))).toContain("unlike “a b”");
  expect(formError(form({}))).toBeUndefined();
});

test("unlike threat models and data are scopes of their own", () => {
  const jobs = [
    tested("1", { clean: 0.9, [AA]: 0.5 }),
    tested("2", { clean: 0.9, [AA]: 0.4 }),
    tested("3", { "pgd-20@linf:8/255": 0.7 }),
    tested("4", { [AA]: 0.3 }, { dataset_id: "ds_other", dataset: "other" }),
  ];
  const scopes = scopesOf(jobs);
  expect(scopes.map(({ key }) => key)).toEqual([
    "linf:0.15 ds_digits",
    "linf:8/255 ds_digits",
    "linf:0.15 ds_other",
  ]);
  const [scope] = scopes;
  expect(measuresOf(jobs, scope!, undefined).map(({ key }) => key)).toEqual(["clean", AA]);
  expect(accuracyOf(jobs[3]!, AA, scope!)).toBeUndefined();
  expect(accuracyOf(jobs[0]!, "clean", scope!)?.value).toBe(0.9);
  expect(accuracyOf(jobs[0]!, "clean", scopes[1]!)).toBeUndefined();
});

test("the order's threat model is that of the columns", () => {
  const scopes = scopesOf([tested("1", { [AA]: 0.5 }), tested("2", { "pgd-20@linf:8/255": 0.7 })]);
  expect(chosenScope(scopes, undefined, "-pgd-20@linf:8/255")?.key).toBe("linf:8/255 ds_digits");
  expect(chosenScope(scopes, "linf:0.15 ds_digits", "-pgd-20@linf:8/255")?.key).toBe(
    "linf:0.15 ds_digits",
  );
});

test("what decides is what the page of the list says of the scope", () => {
  const [scope] = scopesOf([tested("1", { [AA]: 0.3 })]);
  const section = (deciding: string, radius: number, dataset = "ds_digits") => ({
    dataset_id: dataset,
    threat_model: { norm: "linf" as const, radius, title: "" },
    jobs: 1,
    deciding,
  });
  const PGD = "pgd-20@linf:0.15";
  const page = { sections: [section("a", 0.1), section("b", 0.15, "ds_2"), section(PGD, 0.15)] };
  expect(decidingMeasure([page, { sections: [section(AA, 0.15)] }], scope!)?.key).toBe(PGD);
  expect(decidingMeasure([undefined, { sections: [] }], scope!)).toBeUndefined();
});

test("of many measures clean, one attack and the deciding one are shown", () => {
  const best = { clean: 0.9, "cw-30@linf:0.15": 0.5, "pgd-20@linf:0.15": 0.5, [AA]: 0.4 };
  const jobs = [tested("1", best)];
  const measures = measuresOf(jobs, scopesOf(jobs)[0]!, parseMeasure(AA));
  expect(usualMeasures(measures).map(({ label }) => label)).toEqual([
    "Clean",
    "PGD-20",
    "AutoAttack",
  ]);
});

const counts = (entries: [Status, number][]) => new Map(entries);

test("the answer counts jobs and names the best under its threat model", () => {
  const best = tested(
    "1",
    { [AA]: 0.6 },
    {
      name: "starship, seed 2",
      intervals: { best: { [AA]: { low: 0.548, high: 0.649, images: 360 } } },
    },
  );
  const scope = scopesOf([best])[0]!;
  const measure = parseMeasure(AA);
  const parts = answer(
    counts([
      ["running", 1],
      ["queued", 5],
      ["paused", 0],
    ]),
    false,
    {
      job: best,
      scope,
      measure,
    },
  );
  expect(plainAnswer(parts)).toBe(
    "6 jobs: 1 running, 5 queued. The best student on digits under AutoAttack, L∞ 0.15, is " +
      "starship, seed 2 with 60.00 % (54.8–64.9).",
  );
});

test("no jobs, and none of these filters, are said apart", () => {
  expect(plainAnswer(answer(counts([]), false, undefined))).toBe("No jobs yet.");
  expect(plainAnswer(answer(counts([]), true, undefined))).toBe("No job passes these filters.");
});

test("actions apply to jobs in the right state only", () => {
  const jobs = (["running", "failed", "succeeded", "cancelled", "queued"] as const).map((status) =>
    job({ id: status, status }),
  );
  const ids = (action: "cancel" | "retry" | "delete") =>
    applicable(action, jobs).map(({ id }) => id);
  expect(ids("cancel")).toEqual(["running", "queued"]);
  expect(ids("retry")).toEqual(["cancelled"]);
  expect(ids("delete")).toEqual(["failed", "succeeded", "cancelled"]);
});

test("a failure by the settings, and an import, are not tried again", () => {
  const failure = { code: "x", class: "user", message: "", attempt: 1 } as const;
  const retried = [true, false].map((retryable) =>
    canRetry(job({ status: "failed", failure: { ...failure, retryable, advice: null } })),
  );
  expect(retried).toEqual([true, false]);
  expect(canRetry(job({ status: "cancelled" }))).toBe(true);
  expect(canRetry(job({ status: "cancelled", kind: "import_model" }))).toBe(false);
});

test("a dialog names one job, and counts several", () => {
  expect(jobsText([job({ name: "digits-arkd" })])).toBe("digits-arkd");
  expect(jobsText([job(), job()])).toBe("2\u00a0jobs");
  expect(rowsText(50, 1204, true)).toBe("50 of 1,204");
});
