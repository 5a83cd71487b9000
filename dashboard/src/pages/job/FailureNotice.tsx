/** Why a job failed: the worker's sentence, what to do, whether it was tried again, the way on. */

import type { Job } from "@/api/queries";
import { Notice } from "@/components/states/Notice";
import { plural } from "@/format/numbers";

import styles from "./job.module.css";
import { sentence } from "./sentences";

const BLAME: Record<string, string> = {
  user: "The job's settings or data made it fail",
  infrastructure: "It failed through no fault of the job",
  timeout: "It took longer than it may",
};

export function FailureNotice({ job }: { job: Job }) {
  const { failure } = job;
  if (failure === null) return null;
  const isOver = job.status === "failed";
  const title = isOver
    ? (BLAME[failure.class] ?? "It failed")
    : `Attempt ${failure.attempt} failed; the job goes on`;
  return (
    <Notice kind={isOver ? "bad" : "warning"} title={title}>
      <p className={styles.message}>{sentence(failure.message)}</p>
      {failure.advice != null && <p>{sentence(failure.advice)}</p>}
      {isOver && <p className="dim">{retrySentence(job)}</p>}
    </Notice>
  );
}

function retrySentence({ attempt, failure }: Job): string {
  const tries = `It was tried ${attempt === 1 ? "once" : plural(attempt, "time")}`;
  if (failure?.retryable !== true) return `${tries}: the same settings would fail again.`;
  return `${tries}. Retry tries it again as it is.`;
}
