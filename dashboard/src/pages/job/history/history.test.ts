import { describe, expect, it } from "vitest";

import type { Job } from "@/api/queries";

import type { JobEvent } from "../data";
import { append, logParts, MOST_LINES, type LogLine } from "./log_lines";
import { timelineOf } from "./timeline";

function line(seq: number, attempt = 1): LogLine {
  return { seq, attempt, at: "2026-11-28T12:00:00Z", stream: "stdout", text: String(seq) };
}

describe("the log", () => {
  it("shows each line once, across attempts", () => {
    const lines = append([line(1), line(2)], [line(2), line(3), line(1, 2)]);
    expect(lines.map(({ seq, attempt }) => [attempt, seq])).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 1],
    ]);
  });

  it("keeps the newest lines only", () => {
    const many = Array.from({ length: MOST_LINES + 10 }, (_, index) => line(index + 1));
    const lines = append([], many);
    expect([lines.length, lines.at(-1)?.seq]).toEqual([MOST_LINES, MOST_LINES + 10]);
  });

  it("emphasizes epoch and robust accuracy", () => {
    const text = "epoch 3  step 30  held-out clean 92.36  robust 53.47";
    const parts = logParts({ stream: "stdout", text });
    expect(parts.filter(({ isStrong }) => isStrong).map((part) => part.text)).toEqual([
      "3",
      "53.47",
    ]);
    expect(parts.map((part) => part.text).join("")).toBe(text);
  });
});

it("puts states and phases in order, and marks phases that are over", () => {
  const job = {
    status_history: [
      { status: "queued", at: "2026-11-28T12:00:00Z", reason: null },
      { status: "running", at: "2026-11-28T12:01:00Z", reason: "a worker claimed it" },
    ],
    worker: "worker-1",
    attempt: 1,
    sweep_id: null,
    cloned_from: null,
  } as unknown as Job;
  const events = [
    { seq: 3, type: "phase", at: "2026-11-28T12:02:00Z", attempt: 1, data: { phase: "preparing" } },
    { seq: 4, type: "phase", at: "2026-11-28T12:03:00Z", attempt: 1, data: { phase: "training" } },
    { seq: 5, type: "epoch", at: "2026-11-28T12:04:00Z", attempt: 1, data: { epoch: 1 } },
  ] as JobEvent[];
  const entries = timelineOf(job, events);
  expect(entries.map(({ title, detail, icon }) => [title, detail, icon])).toEqual([
    ["Queued", "submitted over REST", "queued"],
    ["Running", "worker-1 claimed it", "succeeded"],
    ["Preparing", undefined, "succeeded"],
    ["Training", undefined, "running"],
  ]);
});
