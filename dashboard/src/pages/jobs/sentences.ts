/** The answer line of the page: pure functions of what REST returned. */

import type { JobSummary, Status } from "@/api/queries";
import { canRetry } from "@/api/retry";
import { strong, type AnswerPart } from "@/components/page/answer";
import type { Measure } from "@/format/measures";
import { jobTitle } from "@/format/names";
import { formatInterval, formatNumber, formatPercent, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import { accuracyOf, type Scope } from "./measures";

export interface Best {
  job: JobSummary;
  measure: Measure;
  scope: Scope;
}

/** Where is my run, and which is best? `counts` are those under the page's filters. */
export function answer(
  counts: ReadonlyMap<Status, number>,
  isFiltered: boolean,
  best: Best | undefined,
): AnswerPart[] {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (total === 0) return [isFiltered ? "No job passes these filters." : "No jobs yet."];
  const parts = [...counts]
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${formatNumber(count)} ${status}`);
  const subject = isFiltered ? `${plural(total, "job")} of these filters` : plural(total, "job");
  return [strong(subject), `: ${parts.join(", ")}. `, ...bestSentence(best)];
}

function bestSentence(best: Best | undefined): AnswerPart[] {
  if (best === undefined) return [];
  const { job, measure, scope } = best;
  const accuracy = accuracyOf(job, measure.key, scope);
  if (accuracy === undefined) return [];
  const { value, low, high } = accuracy;
  const interval =
    low === undefined || high === undefined ? "" : ` (${formatInterval([low, high])})`;
  const noun = job.kind === "distillation" ? "student" : "model";
  return [
    `The best ${noun} on ${scope.dataset} under ${measure.label}, `,
    `${threatModelTitle(scope.threatModel)}, is `,
    strong(jobTitle(job)),
    ` with ${formatPercent(value)}${interval}.`,
  ];
}

/** "50 of 1,204", "27 of 27", "the next 50 of 1,204". */
export function rowsText(shown: number, total: number | null, isFirstPage: boolean): string {
  if (total === null) return formatNumber(shown);
  const rows = `${formatNumber(shown)} of ${formatNumber(total)}`;
  return isFirstPage ? rows : `${rows}, further on`;
}

const ENDED: readonly Status[] = ["cancelled", "succeeded", "failed"];
const CANCELLABLE: readonly Status[] = ["queued", "running", "pausing", "paused"];

/** For which of the selected jobs an action is possible. */
export function applicable(
  action: "cancel" | "retry" | "delete",
  jobs: readonly JobSummary[],
): JobSummary[] {
  if (action === "retry") return jobs.filter(canRetry);
  const statuses = { cancel: CANCELLABLE, delete: ENDED }[action];
  return jobs.filter(({ status }) => statuses.includes(status));
}

/** Names the object of a dialog: a job by its name, several by their number. */
export function jobsText(jobs: readonly JobSummary[]): string {
  const [first] = jobs;
  return jobs.length === 1 && first !== undefined ? jobTitle(first) : plural(jobs.length, "job");
}
