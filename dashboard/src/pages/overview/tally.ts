/** The five figures below the overview's answer. */

import type { JobSummary } from "@/api/queries";
import type { TallyItem } from "@/components/page/Tally";
import { formatNumber } from "@/format/numbers";
import { formatDuration, secondsBetween } from "@/format/times";

import { blame, medianDuration, type Snapshot } from "./summary";

export function tallyItems(
  snapshot: Snapshot,
  succeeded: readonly JobSummary[],
  pausedTotal: number,
): TallyItem[] {
  return [
    running(snapshot),
    queued(snapshot),
    failed(snapshot),
    ended(succeeded),
    {
      label: "Paused",
      icon: "paused",
      value: formatNumber(pausedTotal),
      detail: pausedTotal === 0 ? "none" : "by a user",
      hidePhone: pausedTotal === 0,
    },
  ];
}

function running({ workers, runningTotal }: Snapshot): TallyItem {
  const slots = workers.filter(({ alive }) => alive).reduce((sum, worker) => sum + worker.slots, 0);
  return {
    label: "Running",
    icon: "running",
    value: formatNumber(runningTotal),
    detail: `of ${formatNumber(slots)} ${slots === 1 ? "slot" : "slots"}`,
  };
}

function queued({ queued: jobs, queuedTotal, now }: Snapshot): TallyItem {
  const [oldest] = jobs;
  const detail =
    oldest === undefined
      ? "none waits"
      : `oldest ${formatDuration(secondsBetween(oldest.created_at, now))}`;
  return { label: "Queued", icon: "queued", value: formatNumber(queuedTotal), detail };
}

function failed({ failed: jobs }: Snapshot): TallyItem {
  return {
    label: "Failed, 24 h",
    icon: "failed",
    value: formatNumber(jobs.length),
    detail: jobs.length === 0 ? "none" : blame(jobs),
    isBad: jobs.length > 0,
  };
}

function ended(jobs: readonly JobSummary[]): TallyItem {
  const middle = medianDuration(jobs);
  return {
    label: "Succeeded, 24 h",
    icon: "succeeded",
    value: formatNumber(jobs.length),
    detail: middle === undefined ? "none" : `median ${formatDuration(middle)}`,
  };
}
