/** What can be done with a job in its state, in the order of its buttons. Pure. */

import type { Job } from "@/api/queries";
import { canRetry } from "@/api/retry";

export type Change = "pause" | "resume" | "cancel" | "retry" | "delete";

/** Changes that a job's status allows; imports are neither paused nor retried. */
export function changesOf(job: Pick<Job, "status" | "kind" | "failure">): readonly Change[] {
  const { status, kind } = job;
  const isImport = kind.startsWith("import_");
  switch (status) {
    case "queued":
    case "running":
      return isImport ? ["cancel"] : ["pause", "cancel"];
    case "pausing":
      return ["cancel"];
    case "paused":
      return ["resume", "cancel"];
    case "cancelling":
      return [];
    case "failed":
    case "cancelled":
      return canRetry(job) ? ["retry", "delete"] : ["delete"];
    case "succeeded":
      return ["delete"];
  }
}
