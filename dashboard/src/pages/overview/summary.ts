/** The overview's figures and its answer line: pure functions of what REST returned. */

import type { JobSummary, Worker } from "@/api/queries";
import { strong, type AnswerPart } from "@/components/page/answer";
import { enumerate, median, plural } from "@/format/numbers";
import { formatDuration, secondsBetween } from "@/format/times";

const DAY_SECONDS = 86_400;

/** What the page knows at one moment. */
export interface Snapshot {
  now: Date;
  workers: readonly Worker[];
  running: readonly JobSummary[];
  runningTotal: number;
  /** The longest waiting first. */
  queued: readonly JobSummary[];
  queuedTotal: number;
  /** Of the last 24 hours, the last first. */
  failed: readonly JobSummary[];
}

/** Jobs that ended in the last 24 hours, the last first. */
export function lastDay(jobs: readonly JobSummary[], now: Date): JobSummary[] {
  return jobs
    .filter(({ finished_at: at }) => at !== null && secondsBetween(at, now) < DAY_SECONDS)
    .sort((a, b) => (b.finished_at ?? "").localeCompare(a.finished_at ?? ""));
}

/** The median of how long jobs ran, in seconds. */
export function medianDuration(jobs: readonly JobSummary[]): number | undefined {
  return median(
    jobs.flatMap(({ started_at: start, finished_at: end }) =>
      start === null || end === null ? [] : [secondsBetween(start, end)],
    ),
  );
}

/** "1 by its settings, 0 by a worker": whose fault the failures are. */
export function blame(failed: readonly JobSummary[]): string {
  const settings = failed.filter(({ failure }) => failure?.class === "user").length;
  const timeouts = failed.filter(({ failure }) => failure?.class === "timeout").length;
  const workers = failed.length - settings - timeouts;
  const parts = [
    `${settings} by ${settings === 1 ? "its" : "their"} settings`,
    `${workers} by a worker`,
  ];
  return (timeouts > 0 ? [...parts, `${timeouts} out of time`] : parts).join(", ");
}

/** Is everything running? What failed, and whose fault is it? */
export function answer(snapshot: Snapshot): AnswerPart[] {
  return [
    strong(workersSentence(snapshot)),
    " ",
    `${loadSentence(snapshot)}. `,
    failureSentence(snapshot),
  ];
}

function workersSentence({ workers, queuedTotal }: Snapshot): string {
  const alive = workers.filter((worker) => worker.alive);
  const busy = alive.filter((worker) => worker.running > 0);
  const troubled = alive.filter((worker) => worker.trouble !== null);
  const [first] = troubled;
  if (alive.length === 0) {
    return queuedTotal > 0 ? "No worker is alive, and jobs are waiting." : "No worker is alive.";
  }
  if (first !== undefined) {
    return troubled.length === 1
      ? `${first.name} claims no jobs: ${withoutStop(first.trouble ?? "")}.`
      : `${troubled.length} workers claim no jobs.`;
  }
  if (alive.every(({ draining }) => draining)) {
    return alive.length === 1
      ? "The only worker is drained: it claims no more jobs."
      : `All ${alive.length} workers are drained: they claim no more jobs.`;
  }
  if (workers.length === 1) return `The worker is alive and ${busy.length ? "busy" : "idle"}.`;
  const verb = alive.length === 1 ? "is" : "are";
  const who =
    alive.length === workers.length
      ? `All ${workers.length} workers are alive`
      : `${alive.length} of ${workers.length} workers ${verb} alive`;
  if (busy.length === alive.length) return `${who} and busy.`;
  if (busy.length === 0) return `${who} and idle.`;
  return `${who}, ${busy.length} of them busy.`;
}

function loadSentence(snapshot: Snapshot): string {
  const { runningTotal, queuedTotal } = snapshot;
  if (runningTotal + queuedTotal === 0) return "Nothing runs or waits";
  return `${runningSentence(snapshot)}; ${queueSentence(snapshot)}`;
}

function runningSentence({ running, runningTotal }: Snapshot): string {
  if (runningTotal === 0) return "Nothing runs";
  const remaining = running.flatMap(({ progress }) => progress?.eta_seconds ?? []);
  const next = remaining.length === 0 ? undefined : formatDuration(Math.min(...remaining));
  if (runningTotal === 1) {
    const end = next === undefined ? "" : ` and ends training in about ${next}`;
    return `One job runs${end}`;
  }
  const end = next === undefined ? "" : `, the next ends training in about ${next}`;
  return `${plural(runningTotal, "job")} run${end}`;
}

function queueSentence({ queued, queuedTotal, now }: Snapshot): string {
  const [first] = queued;
  if (first === undefined || queuedTotal === 0) return "none waits";
  const waited = formatDuration(secondsBetween(first.created_at, now));
  return queuedTotal === 1
    ? `one has waited for ${waited}`
    : `${queuedTotal} wait, the first for ${waited}`;
}

function failureSentence({ failed }: Snapshot): string {
  const [first] = failed;
  if (first === undefined) return "Nothing failed in the last 24 hours.";
  if (failed.length === 1) {
    return `One job failed in the last 24 hours: ${reason(first)}.`;
  }
  const reasons = [...new Set(failed.map(reason))].slice(0, 2);
  return `${plural(failed.length, "job")} failed in the last 24 hours: ${enumerate(reasons)}${
    new Set(failed.map(reason)).size > reasons.length ? ", and others" : ""
  }.`;
}

const REASONS: Record<string, string> = {
  diverged: "its training diverged",
  non_finite_loss: "its loss was not finite",
  storage_full: "its storage was full",
  timeout: "it ran out of time",
  trainer_died: "its trainer died",
  trainer_hung: "its trainer hung",
  worker_lost: "its worker was lost",
};

/** Why a job failed, as a clause. */
export function reason({ failure }: JobSummary): string {
  if (failure === null) return "for a reason that was not reported";
  return REASONS[failure.code] ?? failure.code.replaceAll("_", " ");
}

function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, "");
}
