import { describe, expect, it } from "vitest";

import type { Job } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import { answer, ordinal, type Known } from "./sentences";

const NOW = new Date("2026-11-28T12:00:00Z");
const MEASURES = {
  clean: { key: "clean", name: "clean", label: "Clean", norm: null, radius: null },
  "pgd-20@linf:0.15": attack("pgd-20@linf:0.15", "pgd", "PGD-20", "linf", 0.15),
  "autoattack@linf:0.15": attack("autoattack@linf:0.15", "autoattack", "AutoAttack", "linf", 0.15),
  "autoattack@l2:0.5": attack("autoattack@l2:0.5", "autoattack", "AutoAttack", "l2", 0.5),
};

function attack(key: string, name: string, label: string, norm: string, radius: number) {
  return { key, name, label, norm, radius };
}

function job(changes: object = {}): Job {
  return {
    id: "job_1",
    kind: "distillation",
    status: "running",
    phase: null,
    progress: null,
    pending_reason: null,
    attempt: 1,
    worker: "worker-1",
    results: null,
    intervals: {},
    deciding: [],
    measures: MEASURES,
    failure: null,
    created_at: "2026-11-28T11:57:00Z",
    started_at: "2026-11-28T11:58:00Z",
    finished_at: null,
    queue_position: null,
    status_history: [],
    ...changes,
  } as unknown as Job;
}

function text(known: Partial<Known> & { job: Job }): string {
  return plainAnswer(answer({ now: NOW, threatModel: { norm: "linf", radius: 0.15 }, ...known }));
}

describe("the answer line", () => {
  it("says how far a training is and how it does", () => {
    const running = job({
      phase: "training",
      progress: { epoch: 380, epochs: 600, step: 3799, of: 6000, eta_seconds: 122 },
    });
    const heldOut = { now: 0.785, best: 0.819, bestEpoch: 333, isBestNow: false };
    expect(text({ job: running, heldOut })).toBe(
      "Training, epoch 380 of 600. Robust accuracy on held-out images at L∞ 0.15 is 78.5 % now " +
        "and was best at epoch 333 with 81.9 %. About 2 min 02 s of training are left.",
    );
  });

  it("answers with the attack that decides, of the job's own threat model", () => {
    const results = {
      clean: 0.9333,
      "pgd-20@linf:0.15": 0.5,
      "autoattack@linf:0.15": 0.5667,
      "autoattack@l2:0.5": 0.1,
    };
    const done = job({
      status: "succeeded",
      results: { best: results },
      deciding: ["autoattack@linf:0.15", "autoattack@l2:0.5"],
      intervals: { best: { "autoattack@linf:0.15": { low: 0.515, high: 0.617, images: 360 } } },
    });
    expect(text({ job: done, parameters: 1702, teacherParameters: 24058 })).toBe(
      "The student keeps 56.67 % under AutoAttack at L∞ 0.15 (51.5–61.7) and 93.33 % clean, " +
        "with 1,702 parameters: 14 times fewer than its teacher.",
    );
  });

  it("takes the strongest attack where AutoAttack was not run", () => {
    const results = { model: { "pgd-20@linf:0.15": 0.5 } };
    const deciding = ["pgd-20@linf:0.15"];
    const done = job({ status: "succeeded", kind: "evaluation", results, deciding });
    expect(text({ job: done })).toBe("The model keeps 50.00 % under PGD-20 at L∞ 0.15.");
  });

  it("says a queued job's place and why it waits", () => {
    const queued = job({
      status: "queued",
      queue_position: 3,
      pending_reason: "no worker takes jobs now",
    });
    expect(text({ job: queued })).toBe(
      "Queued, 3rd in line, submitted 3 min ago. No worker takes jobs now.",
    );
  });

  it("tells a failure in the worker's words", () => {
    const failed = job({
      status: "failed",
      attempt: 2,
      finished_at: "2026-11-28T11:59:00Z",
      failure: { message: "The loss is <b>NaN</b>" },
    });
    expect(text({ job: failed })).toBe(
      "Failed after 1 min: The loss is <b>NaN</b>. It was tried 2 times.",
    );
  });

  it("tells what is evaluated", () => {
    const evaluating = job({
      phase: "evaluating",
      progress: { network: "best", measure: "pgd-20@linf:0.15", step: 90, of: 360 },
    });
    expect(text({ job: evaluating })).toBe("Evaluating the best epoch's network: PGD-20, 25 %. ");
  });
});

it("writes places in line", () => {
  expect([1, 2, 3, 4, 11, 21, 112].map(ordinal)).toEqual([
    "1st",
    "2nd",
    "3rd",
    "4th",
    "11th",
    "21st",
    "112th",
  ]);
});
