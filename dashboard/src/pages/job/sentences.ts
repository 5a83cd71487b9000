/** The answer line: how far is it, is it healthy, how robust is the student? Pure. */

import type { Job } from "@/api/queries";
import { strong, type AnswerPart } from "@/components/page/answer";
import { kindTitle } from "@/format/names";
import { formatInterval, formatNumber, formatPercent, plural } from "@/format/numbers";
import { formatAge, formatDuration, secondsBetween } from "@/format/times";
import { threatModelTitle, type ThreatModel } from "@/format/threat_model";

export interface HeldOut {
  /** Shares in [0, 1]. */
  now: number;
  best: number;
  bestEpoch: number | undefined;
  isBestNow: boolean;
}

export interface Known {
  job: Job;
  now: Date;
  heldOut?: HeldOut | undefined;
  /** Of the training or of the evaluation. */
  threatModel?: ThreatModel | undefined;
  parameters?: number | undefined;
  teacherParameters?: number | undefined;
}

export function answer(known: Known): AnswerPart[] {
  const { job } = known;
  switch (job.status) {
    case "queued":
      return queued(known);
    case "paused":
      return [`Paused${epochsDone(job)}.`, because(job), " Resume goes on from its checkpoint."];
    case "pausing":
      return [`Pausing: a checkpoint is being written${epochsDone(job)}.`];
    case "cancelling":
      return [`Being cancelled${epochsDone(job)}.`];
    case "cancelled":
      return [`Cancelled${after(job)}.`, because(job)];
    case "failed":
      return failed(job);
    case "succeeded":
      return succeeded(known);
    case "running":
      return running(known);
  }
}

function queued({ job, now }: Known): AnswerPart[] {
  const position = job.queue_position;
  const waits = formatAge(secondsBetween(job.created_at, now));
  const line: AnswerPart[] =
    position === null
      ? [`Queued, submitted ${waits}.`]
      : ["Queued, ", strong(`${ordinal(position)} in line`), `, submitted ${waits}.`];
  return [...line, because(job)];
}

function because({ pending_reason: reason }: Job): string {
  return reason === null ? "" : ` ${sentence(reason)}`;
}

/** A sentence with a capital and a stop. */
export function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function failed(job: Job): AnswerPart[] {
  const message = job.failure?.message ?? job.status_history.at(-1)?.reason ?? "no reason is known";
  const tries = job.attempt > 1 ? ` It was tried ${plural(job.attempt, "time")}.` : "";
  return ["Failed", `${after(job)}: `, strong(firstSentence(message)), tries];
}

const LONGEST_SENTENCE = 240;

/** The first sentence of a longer message, which stands as a whole in the failure's notice. */
export function firstSentence(message: string): string {
  const [first = message] = message.split(/(?<=[.!?])\s+(?=[A-Z])/);
  if (first.length > LONGEST_SENTENCE) return `${first.slice(0, LONGEST_SENTENCE)}…`;
  return sentence(first);
}

function after({ started_at: start, finished_at: end }: Job): string {
  if (end === null) return "";
  if (start === null) return " before it began";
  return ` after ${formatDuration(secondsBetween(start, end))}`;
}

function epochsDone({ progress }: Job): string {
  const { epoch, epochs } = progress ?? {};
  if (epoch == null || epochs == null) return "";
  return ` in epoch ${formatNumber(Math.min(epoch, epochs))} of ${formatNumber(epochs)}`;
}

function running(known: Known): AnswerPart[] {
  const { job } = known;
  const { progress, phase } = job;
  if (phase === "training" && progress?.epoch != null && progress.epochs != null) {
    const epoch = Math.min(progress.epoch, progress.epochs);
    const place = `epoch ${formatNumber(epoch)} of ${formatNumber(progress.epochs)}`;
    return ["Training, ", strong(place), ". ", ...heldOutParts(known), ...left(job, "training")];
  }
  if (phase === "evaluating") return [...evaluating(job), ...left(job, "this measure")];
  if (phase === "exporting") return ["Exporting weights, figures and the report."];
  if (phase === "preparing") return ["Preparing data and networks."];
  if (job.kind.startsWith("import_")) return [`The ${kindTitle(job.kind)} runs.`];
  return [`${job.worker ?? "A worker"} has claimed it and starts the trainer.`];
}

function heldOutParts({ heldOut, threatModel }: Known): AnswerPart[] {
  if (heldOut === undefined) return ["No epoch has been measured on held-out images yet. "];
  const { now, best, bestEpoch, isBestNow } = heldOut;
  const under = threatModel === undefined ? "" : ` at ${threatModelTitle(threatModel)}`;
  const then = bestEpoch === undefined ? "" : ` at epoch ${formatNumber(bestEpoch)}`;
  const end = isBestNow
    ? " now, the best so far. "
    : ` now and was best${then} with ${formatPercent(best, 1)}. `;
  const begin = `Robust accuracy on held-out images${under} is `;
  return [begin, strong(formatPercent(now, 1)), end];
}

function left({ progress }: Job, what: string): AnswerPart[] {
  const seconds = progress?.eta_seconds;
  if (seconds == null) return [];
  return ["About ", strong(formatDuration(seconds)), ` of ${what} are left.`];
}

const NETWORKS: Record<string, string> = {
  best: "the best epoch's network",
  last: "the last epoch's network",
  model: "the model",
};

function evaluating(job: Job): AnswerPart[] {
  const { network, measure, step, of } = job.progress ?? {};
  if (network == null) return ["Evaluating. "];
  const label = measure == null ? undefined : (job.measures[measure]?.label ?? measure);
  const share = step != null && of != null && of > 0 ? `, ${formatPercent(step / of, 0)}` : "";
  const what = NETWORKS[network] ?? `the ${network} network`;
  if (label === undefined) return [`Evaluating ${what}. `];
  return [`Evaluating ${what}: `, strong(`${label}${share}`), ". "];
}

function succeeded(known: Known): AnswerPart[] {
  const { job } = known;
  if (job.kind.startsWith("import_")) return [`Imported${after(job)}.`];
  const network = job.kind === "evaluation" ? "model" : "best";
  const results = job.results?.[network] ?? {};
  const key = decidingKey(job, known.threatModel);
  const subject = job.kind === "evaluation" ? "The model" : "The student";
  if (key === undefined) return [`Finished${after(job)}. No attack was run.`];
  const deciding = results[key] ?? 0;
  const measure = job.measures[key];
  const interval = job.intervals[network]?.[key];
  const bounds =
    interval === undefined ? "" : ` (${formatInterval([interval.low, interval.high])})`;
  const threat =
    measure?.norm != null && measure.radius != null
      ? ` at ${threatModelTitle({ norm: measure.norm, radius: measure.radius })}`
      : "";
  const clean: AnswerPart[] =
    results.clean === undefined ? [] : [" and ", strong(formatPercent(results.clean)), " clean"];
  const under = ` under ${measure?.label ?? key}${threat}${bounds}`;
  const value = strong(formatPercent(deciding));
  return [`${subject} keeps `, value, under, ...clean, ...parametersPart(known), "."];
}

/** The key that decides under the job's own threat model. */
export function decidingKey(
  job: Pick<Job, "measures" | "deciding">,
  threatModel: ThreatModel | undefined,
): string | undefined {
  if (threatModel === undefined) return job.deciding[0];
  return job.deciding.find((key) => {
    const measure = job.measures[key];
    return measure?.norm === threatModel.norm && isClose(measure.radius, threatModel.radius);
  });
}

function isClose(a: number | null, b: number): boolean {
  return a !== null && Math.abs(a - b) <= 1e-6 * Math.max(1, b);
}

function parametersPart({ parameters, teacherParameters }: Known): AnswerPart[] {
  if (parameters === undefined) return [];
  const count = `, with ${formatNumber(parameters)} parameters`;
  if (teacherParameters === undefined) return [count];
  const ratio = teacherParameters / parameters;
  if (ratio >= 1.5) return [`${count}: ${formatRatio(ratio)} times fewer than its teacher`];
  return ratio === 1 ? [`${count}, as many as its teacher`] : [count];
}

function formatRatio(ratio: number): string {
  return formatNumber(ratio, ratio < 10 && Math.abs(ratio - Math.round(ratio)) > 0.05 ? 1 : 0);
}

/** "1st", "2nd", "3rd", "4th", "11th". */
export function ordinal(count: number): string {
  const tens = count % 100;
  const unit = tens >= 11 && tens <= 13 ? 0 : count % 10;
  return `${formatNumber(count)}${["th", "st", "nd", "rd"][unit] ?? "th"}`;
}
