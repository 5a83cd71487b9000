/** Whether a job can be run again as it is. */

import type { JobSummary } from "./queries";

/** A failure by its settings would come again, and the upload of an import is gone. */
export function canRetry(job: Pick<JobSummary, "status" | "kind" | "failure">): boolean {
  if (job.kind.startsWith("import_")) return false;
  return job.status === "cancelled" || (job.status === "failed" && job.failure?.retryable === true);
}
