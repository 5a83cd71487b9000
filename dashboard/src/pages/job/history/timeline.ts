/** What happened to a job, in order: states, phases of the trainer, trouble. Pure. */

import type { Job } from "@/api/queries";
import { JOB_STATUSES, type Tone } from "@/components/marks/Status";
import type { IconName } from "@/components/marks/Icon";

import type { JobEvent } from "../data";
import { firstSentence, sentence } from "../sentences";

export interface Entry {
  key: string;
  at: string;
  icon: IconName;
  tone: Tone;
  title: string;
  detail: string | undefined;
}

type Status = keyof typeof JOB_STATUSES;

const DONE = { icon: "succeeded", tone: "ok" } as const;

/** Entries, oldest first. Where a phase is not the last entry, it is done. */
export function timelineOf(job: Job, events: readonly JobEvent[]): Entry[] {
  const states = job.status_history.map(({ status, at, reason }, index): Entry => {
    const { word, icon, tone } = JOB_STATUSES[status];
    const detail = reason === null ? firstDetail(job, index) : stateDetail(job, status, reason);
    return { key: `status ${index}`, at, icon, tone, title: word, detail };
  });
  const others = events.flatMap((event) => entryOf(event) ?? []);
  const entries = [...states, ...others].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return entries.map((entry, index) => {
    const isDone = entry.icon === "running" && index < entries.length - 1;
    return isDone ? { ...entry, ...DONE } : entry;
  });
}

function firstDetail(job: Job, index: number): string | undefined {
  if (index > 0) return undefined;
  if (job.sweep_id !== null) return "submitted by a sweep";
  return job.cloned_from === null ? "submitted over REST" : "cloned from another job";
}

function stateDetail(job: Job, status: Status, reason: string): string {
  if (status === "running" && job.worker !== null && job.attempt === 1) {
    return reason.replace(/^a worker\b/, job.worker);
  }
  return status === "failed" ? firstSentence(reason) : reason;
}

function entryOf({ seq, type, at, attempt, data }: JobEvent): Entry | undefined {
  const entry = { key: `event ${seq}`, at };
  if (type === "phase" && typeof data.phase === "string") {
    const title = data.phase.charAt(0).toUpperCase() + data.phase.slice(1);
    return { ...entry, icon: "running", tone: "run", title, detail: undefined };
  }
  if (type === "warning" && typeof data.message === "string") {
    return { ...entry, icon: "warning", tone: "warn", title: "Warning", detail: data.message };
  }
  if (type === "resumed") {
    const step = typeof data.step === "number" ? ` from step ${data.step}` : "";
    const detail = `attempt ${attempt} goes on from the last checkpoint`;
    return { ...entry, icon: "info", tone: "neutral", title: `Resumed${step}`, detail };
  }
  if (type === "note" && typeof data.text === "string") {
    const title = sentence(data.text);
    return { ...entry, icon: "info", tone: "neutral", title, detail: undefined };
  }
  return undefined;
}
