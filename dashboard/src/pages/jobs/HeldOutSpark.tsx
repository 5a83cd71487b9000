/** Held-out robust accuracy so far, read when its row comes into view. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState, type RefObject } from "react";

import { metricsQuery } from "@/api/metrics";
import type { JobSummary } from "@/api/queries";
import { Spark } from "@/components/marks/Spark";
import { formatPercent } from "@/format/numbers";

import styles from "./jobs.module.css";

const CURVE = "epoch_held_out_robust";
/** The mark is 84 px wide. */
const POINTS = 60;

export function HeldOutSpark({ job }: { job: JobSummary }) {
  const place = useRef<HTMLDivElement>(null);
  const isSeen = useSeen(place);
  const isTraining = job.kind === "distillation" || job.kind === "adversarial_training";
  const metrics = useQuery({
    ...metricsQuery(job.id, [CURVE], POINTS),
    enabled: isSeen && isTraining && job.started_at !== null,
    ...(job.terminal ? { staleTime: Infinity } : {}),
  });
  const points = metrics.data?.series[0]?.points ?? [];
  const last = points.at(-1);
  return (
    <div ref={place} className={styles.spark}>
      {last !== undefined && (
        <Spark
          points={points}
          end={plannedSteps(job, last[0])}
          label={`Held-out robust accuracy, last ${formatPercent(last[1], 1)}`}
        />
      )}
    </div>
  );
}

/** Steps of the whole training; after it, its curve is complete. */
function plannedSteps({ status, phase, progress }: JobSummary, last: number): number {
  const isTraining = phase === "training" && status !== "failed" && status !== "succeeded";
  return isTraining ? Math.max(last, progress?.of ?? last) : last;
}

function useSeen(place: RefObject<HTMLElement | null>): boolean {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    const element = place.current;
    if (element === null || isSeen) return undefined;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) setSeen(true);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [place, isSeen]);
  return isSeen;
}
