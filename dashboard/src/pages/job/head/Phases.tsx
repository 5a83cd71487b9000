/** Preparing, training, evaluating, exporting: which are done, how far the present one is. */

import type { Job } from "@/api/queries";
import { formatNumber } from "@/format/numbers";
import { formatDuration } from "@/format/times";

import styles from "../job.module.css";

const PHASES = ["preparing", "training", "evaluating", "exporting"] as const;
const ACTIVE = ["running", "pausing", "cancelling"];

export function Phases({ job }: { job: Job }) {
  if (!ACTIVE.includes(job.status) || job.kind.startsWith("import_")) return null;
  const phases = PHASES.filter((name) => name !== "training" || job.kind !== "evaluation");
  const now = job.phase === null ? -1 : phases.indexOf(job.phase);
  return (
    <ol className={styles.phases} aria-label="Phases">
      {phases.map((name, index) => (
        <li key={name} className={`${styles[name] ?? ""} ${stateClass(index, now)}`}>
          <Bar job={job} name={name} isNow={index === now} isDone={index < now} />
          <span className={styles.phaseText}>
            <span>
              {name.charAt(0).toUpperCase() + name.slice(1)}
              {index < now && <span className="vh"> (done)</span>}
            </span>
            {index === now && <span className="dim">{stepsText(job)}</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}

function stateClass(index: number, now: number): string {
  if (index < now) return styles.done ?? "";
  return index === now ? (styles.now ?? "") : "";
}

interface BarProps {
  job: Job;
  name: string;
  isNow: boolean;
  isDone: boolean;
}

function Bar({ job, name, isNow, isDone }: BarProps) {
  const { step, of } = job.progress ?? {};
  const max = isNow && of != null && of > 0 ? of : 1;
  const value = isDone ? 1 : isNow ? Math.min(step ?? 0, max) : 0;
  const label = isNow && of != null ? `${name}: ${stepsText(job)}` : name;
  return <progress value={value} max={max} aria-label={label} />;
}

/** "3,799 of 6,000 steps, 2 min 02 s left"; an evaluation's steps are of its present measure. */
export function stepsText({ phase, progress }: Job): string {
  const { step, of, eta_seconds: seconds } = progress ?? {};
  if (step == null || of == null) return "";
  const what = phase === "training" ? " steps" : "";
  const left = seconds == null ? "" : `, ${formatDuration(seconds)} left`;
  return `${formatNumber(Math.min(step, of))} of ${formatNumber(of)}${what}${left}`;
}
