/** What can be done with a job in its state, in the order of its buttons. Pure. */

import type { Job } from "@/api/queries";

export type Change = "pause" | "resume" | "cancel" | "retry" | "delete";

/** Changes that a job's status allows; imports are cancelled or retried only. */
export function changesOf({ status, kind }: Pick<Job, "status" | "kind">): readonly Change[] {
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
      return ["retry", "delete"];
    case "succeeded":
      return ["delete"];
  }
}
