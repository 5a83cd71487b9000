import { expect, test } from "vitest";

import type { JobSummary, Worker } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import { groupFinished } from "./finished";
import { answer, blame, lastDay, medianDuration, type Snapshot } from "./summary";

const NOW = new Date("2026-11-27T12:00:00Z");

function worker(changes: Partial<Worker> = {}): Worker {
  return {
    name: "worker-1",
    alive: true,
    running: 1,
    slots: 1,
    draining: false,
    trouble: null,
    ...changes,
  } as Worker;
}

function job(changes: Partial<JobSummary> = {}): JobSummary {
  return {
    id: "job_1",
    kind: "distillation",
    name: "digits",
    created_at: "2026-11-27T11:51:00Z",
    started_at: "2026-11-27T11:52:00Z",
    finished_at: "2026-11-27T11:53:00Z",
    dataset: "digits",
    dataset_id: "ds_digits",
    failure: null,
    progress: null,
    results: null,
    deciding: [],
    ...changes,
  } as JobSummary;
}

function failed(code: string, failureClass: "user" | "infrastructure" | "timeout"): JobSummary {
  const failure = { code, class: failureClass, message: "", retryable: false, attempt: 1 };
  return job({ status: "failed", failure });
}

const EMPTY: Snapshot = {
  now: NOW,
  workers: [worker({ running: 0 })],
  running: [],
  runningTotal: 0,
  queued: [],
  queuedTotal: 0,
  failed: [],
};
const sentence = (changes: Partial<Snapshot>) => plainAnswer(answer({ ...EMPTY, ...changes }));

test("an idle service says so", () => {
  expect(sentence({})).toBe(
    "The worker is alive and idle. Nothing runs or waits. Nothing failed in the last 24 hours.",
  );
});

test("jobs that nobody claims are no surprise", () => {
  const drained = worker({ running: 0, draining: true });
  expect(sentence({ workers: [drained] })).toMatch(
    /^The only worker is drained: it claims no more/,
  );
  expect(sentence({ workers: [drained, drained] })).toMatch(/^All 2 workers are drained: they/);
  expect(sentence({ workers: [drained, worker()] })).toMatch(/^All 2 workers are alive, 1 of/);
});

test("one running job, a queue, and one failure with its reason", () => {
  const text = sentence({
    workers: [worker()],
    running: [job({ progress: { eta_seconds: 122 } })],
    runningTotal: 1,
    queued: [job()],
    queuedTotal: 5,
    failed: [failed("diverged", "user")],
  });
  expect(text).toBe(
    "The worker is alive and busy. One job runs and ends training in about 2 min 02 s; 5 wait, " +
      "the first for 9 min. One job failed in the last 24 hours: its training diverged.",
  );
});

test("lost and troubled workers come first", () => {
  const lost = worker({ name: "worker-2", alive: false, running: 0 });
  expect(sentence({ workers: [worker(), lost] })).toMatch(/^1 of 2 workers is alive and busy\./);
  expect(sentence({ workers: [lost], queuedTotal: 2, queued: [job()] })).toMatch(
    /^No worker is alive, and jobs are waiting\./,
  );
  const trouble = "The scratch folder is full.";
  expect(sentence({ workers: [worker({ trouble })] })).toMatch(
    /^worker-1 claims no jobs: The scratch folder is full\. /,
  );
});

test("several workers, several failures", () => {
  const text = sentence({
    workers: [worker(), worker({ name: "worker-2", running: 0 })],
    failed: [failed("diverged", "user"), failed("worker_lost", "infrastructure")],
  });
  expect(text).toMatch(/^All 2 workers are alive, 1 of them busy\./);
  expect(text).toMatch(/2 jobs failed .*: its training diverged and its worker was lost\.$/);
});

test("failures are told by whose fault they are", () => {
  const jobs = [
    failed("diverged", "user"),
    failed("worker_lost", "infrastructure"),
    failed("timeout", "timeout"),
  ];
  expect(blame(jobs)).toBe("1 by its settings, 1 by a worker, 1 out of time");
  expect(blame(jobs.slice(0, 1))).toBe("1 by its settings, 0 by a worker");
});

test("the last day holds what ended in it, the last first", () => {
  const old = job({ id: "old", finished_at: "2026-11-26T11:59:00Z" });
  const early = job({ id: "early", finished_at: "2026-11-27T01:00:00Z" });
  const late = job({ id: "late" });
  const running = job({ id: "running", finished_at: null });
  const ids = lastDay([early, old, running, late], NOW).map(({ id }) => id);
  expect(ids).toEqual(["late", "early"]);
  expect(medianDuration([late])).toBe(60);
});

test("unlike threat models, attacks and data are groups of their own", () => {
  const measured = (key: string) => ({
    results: { best: { clean: 0.9, [key]: 0.5 } },
    deciding: [key],
  });
  const jobs = [
    job({ id: "a", ...measured("autoattack@linf:0.15") }),
    job({ id: "b", ...measured("autoattack@linf:8/255") }),
    job({ id: "c", ...measured("pgd-20@linf:0.15") }),
    job({ id: "d", ...measured("autoattack@linf:0.15"), dataset: "cifar10" }),
    job({ id: "e", ...measured("autoattack@linf:0.15") }),
    job({ id: "f", results: { best: { clean: 0.9 } } }),
  ];
  const groups = groupFinished(jobs, new Map(), new Map([["ds_digits", 360]]));
  const ids = groups.map(({ rows }) => rows.map((row) => row.job.id).join(""));
  expect(ids).toEqual(["ae", "b", "c", "d"]);
  expect(groups[0]?.rows[0]?.interval).toBeUndefined(); // its spec is not known yet
});
