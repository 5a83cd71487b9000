/** Sentences on sweeps. Pure. */

import type { Sweep } from "@/api/queries";
import { strong, type AnswerPart } from "@/components/page/answer";
import { shortId } from "@/format/names";
import { formatNumber, plural } from "@/format/numbers";

export function sweepTitle({ id, name }: Pick<Sweep, "id" | "name">): string {
  return name ?? `sweep ${shortId(id)}`;
}

export function endedCount({ jobs }: Pick<Sweep, "jobs">): number {
  return (jobs.succeeded ?? 0) + (jobs.failed ?? 0) + (jobs.cancelled ?? 0);
}

/** "12 of 15 ended, 1 failed". */
export function progressText(sweep: Pick<Sweep, "jobs" | "size">): string {
  const { failed = 0, cancelled = 0, paused = 0 } = sweep.jobs;
  const parts = [`${formatNumber(endedCount(sweep))} of ${formatNumber(sweep.size)} ended`];
  if (failed > 0) parts.push(`${formatNumber(failed)} failed`);
  if (cancelled > 0) parts.push(`${formatNumber(cancelled)} cancelled`);
  if (paused > 0) parts.push(`${formatNumber(paused)} paused`);
  return parts.join(", ");
}

/** What still runs, and what is missing. */
export function answer(sweeps: readonly Sweep[]): AnswerPart[] {
  if (sweeps.length === 0) return [];
  const open = sweeps.filter(({ terminal }) => !terminal);
  const incomplete = sweeps.filter((sweep) => sweep.terminal && missing(sweep) > 0);
  const parts: AnswerPart[] = [
    open.length === 0
      ? `${plural(sweeps.length, "sweep")}, all of them ended.`
      : `${formatNumber(open.length)} of ${plural(sweeps.length, "sweep")} still running.`,
  ];
  if (incomplete.length > 0) {
    const verb = incomplete.length === 1 ? "lacks" : "lack";
    parts.push(" ", strong(formatNumber(incomplete.length)), ` ${verb} results of some jobs.`);
  }
  return parts;
}

function missing({ jobs }: Sweep): number {
  return (jobs.failed ?? 0) + (jobs.cancelled ?? 0);
}
