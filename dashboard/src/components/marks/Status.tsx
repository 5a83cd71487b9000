/** A state as shape, word and color together, never color alone. */

import type { ReactNode } from "react";

import type { Status as JobStatus } from "@/api/queries";

import { Icon, type IconName } from "./Icon";
import styles from "./marks.module.css";

export type Tone = "neutral" | "run" | "ok" | "warn" | "bad";

interface Mark {
  word: string;
  icon: IconName;
  tone: Tone;
}

export const JOB_STATUSES: Record<JobStatus, Mark> = {
  queued: { word: "Queued", icon: "queued", tone: "neutral" },
  running: { word: "Running", icon: "running", tone: "run" },
  pausing: { word: "Pausing", icon: "running", tone: "run" },
  paused: { word: "Paused", icon: "paused", tone: "warn" },
  cancelling: { word: "Cancelling", icon: "running", tone: "neutral" },
  cancelled: { word: "Cancelled", icon: "cancelled", tone: "neutral" },
  succeeded: { word: "Succeeded", icon: "succeeded", tone: "ok" },
  failed: { word: "Failed", icon: "failed", tone: "bad" },
};

/** A job's status; `pill` beside a page's title. */
export function Status({ status, pill = false }: { status: JobStatus; pill?: boolean }) {
  const { word, icon, tone } = JOB_STATUSES[status];
  return (
    <StatusMark icon={icon} tone={tone} pill={pill}>
      {word}
    </StatusMark>
  );
}

interface StatusMarkProps {
  icon: IconName;
  tone: Tone;
  pill?: boolean;
  children: ReactNode;
}

/** The state of anything else: a worker, a model's import. */
export function StatusMark({ icon, tone, pill = false, children }: StatusMarkProps) {
  const className = [styles.status, styles[tone], pill ? styles.pill : ""].join(" ");
  return (
    <span className={className}>
      <Icon name={icon} />
      {children}
    </span>
  );
}
