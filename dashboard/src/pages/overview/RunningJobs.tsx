import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { metricsQuery } from "@/api/metrics";
import type { Job, JobSummary } from "@/api/queries";
import { Meter } from "@/components/marks/Meter";
import { Spark } from "@/components/marks/Spark";
import { Status } from "@/components/marks/Status";
import { Between, Note, Section } from "@/components/page/Section";
import { jobTitle, kindTitle, methodTitle } from "@/format/names";
import { formatInterval, formatNumber, formatPercent, formatShare, plural } from "@/format/numbers";
import { wilsonInterval } from "@/format/statistics";
import { threatModelTitle, type ThreatModel } from "@/format/threat_model";
import { formatDuration } from "@/format/times";

import { useDatasets, useJobs } from "./data";
import styles from "./overview.module.css";

const CURVE = "epoch_held_out_robust";
const CURVE_POINTS = 200;

interface RunningJobsProps {
  jobs: readonly JobSummary[];
  total: number;
}

export function RunningJobs({ jobs, total }: RunningJobsProps) {
  const specs = useJobs(jobs);
  if (total === 0) return null;
  return (
    <Section
      title="Running"
      note="robust accuracy on held-out images, PGD-10"
      more={total > jobs.length && <Link to="/jobs?status=running">All {formatNumber(total)}</Link>}
    >
      {jobs.map((job) => (
        <RunningJob key={job.id} job={job} detail={specs.get(job.id)} />
      ))}
    </Section>
  );
}

function RunningJob({ job, detail }: { job: JobSummary; detail: Job | undefined }) {
  const { progress } = job;
  const step = progress?.step ?? 0;
  const of = progress?.of ?? 0;
  const steps = `${formatNumber(step)} of ${formatNumber(of)} steps`;
  const left = progress?.eta_seconds;
  return (
    <article className={styles.runCard}>
      <div className={styles.progress}>
        <Between>
          <Link className="strong" to={`/jobs/${job.id}`}>
            {jobTitle(job)}
          </Link>
          <Status status={job.status} />
        </Between>
        <Meter value={step} max={Math.max(1, of)} label={steps} />
        <Between faint>
          <span>{phaseText(job)}</span>
          {left != null && <span>{formatDuration(left)} left</span>}
        </Between>
        <p className="small dim">{subject(job, detail)}</p>
      </div>
      <HeldOut job={job} detail={detail} />
    </article>
  );
}

/** The spark line and the figure beside it. */
function HeldOut({ job, detail }: { job: JobSummary; detail: Job | undefined }) {
  const metrics = useQuery(metricsQuery(job.id, [CURVE], CURVE_POINTS));
  const points = metrics.data?.series[0]?.points ?? [];
  const last = points.at(-1);
  if (last === undefined) return <Note>No held-out accuracy yet.</Note>;
  const best = points.reduce((a, b) => (b[1] >= a[1] ? b : a));
  const end = trainingSteps(job, last[0]);
  const epoch = epochAt(best[0], job, end);
  const now = formatPercent(last[1], 1);
  return (
    <>
      <Spark points={points} end={end} wide label={`Held-out robust accuracy, ${now} now`} />
      <div>
        <p className={styles.figure}>
          {formatShare(last[1], 1)} <small>% now</small>
        </p>
        <HeldOutInterval share={last[1]} job={job} detail={detail} />
        <p className="small dim">
          best {formatShare(best[1], 1)}
          {epoch !== undefined && `, epoch ${formatNumber(epoch)}`}
        </p>
      </div>
    </>
  );
}

/** "L∞ 0.15, 62.1–77.0 on 144 images". */
function HeldOutInterval(props: { share: number; job: JobSummary; detail: Job | undefined }) {
  const { share, job, detail } = props;
  const dataset = useDatasets().get(job.dataset_id ?? "");
  const threatModel = trainingThreatModel(detail);
  if (threatModel === undefined || dataset?.description == null) return null;
  const images = heldOutImages(detail, dataset.description.train_images);
  if (images === undefined) return null;
  return (
    <p className="small dim">
      <span className="nowrap">
        {threatModelTitle(threatModel)}, {formatInterval(wilsonInterval(share, images))}
      </span>{" "}
      <span className="nowrap">on {plural(images, "image")}</span>
    </p>
  );
}

/** Number of training images that are held out to choose the best epoch. */
function heldOutImages(detail: Job | undefined, trainImages: number): number | undefined {
  const spec = detail?.spec;
  if (spec === undefined || !("data" in spec) || !("held_out" in spec.data)) return undefined;
  const used = Math.min(spec.data.limit ?? trainImages, trainImages);
  return Math.max(1, Math.round(used * spec.data.held_out));
}

function phaseText({ phase, progress }: JobSummary): string {
  if (progress?.epoch != null && progress.epochs != null) {
    const epoch = Math.min(progress.epoch, progress.epochs);
    return `Training, epoch ${formatNumber(epoch)} of ${formatNumber(progress.epochs)}`;
  }
  if (phase === null) return "Starting";
  const word = phase.charAt(0).toUpperCase() + phase.slice(1);
  return progress?.network == null ? word : `${word}, ${progress.network} network`;
}

/** "STARSHIP → small_cnn, width 8". */
function subject(job: JobSummary, detail: Job | undefined): string {
  if (job.method === null) return kindTitle(job.kind);
  const spec = detail?.spec;
  const student = spec !== undefined && "student" in spec ? spec.student : undefined;
  const suffix = student !== undefined && "width" in student ? `, width ${student.width}` : "";
  return `${methodTitle(job.method)} → ${job.student ?? ""}${suffix}`;
}

function trainingThreatModel(detail: Job | undefined): ThreatModel | undefined {
  const spec = detail?.spec;
  if (spec === undefined || !("adversary" in spec)) return undefined;
  return { norm: "linf", radius: spec.adversary.radius };
}

/** Steps of the whole training; while it is evaluated, its curve is complete. */
function trainingSteps({ phase, progress }: JobSummary, last: number): number {
  return phase === "training" ? (progress?.of ?? last) : last;
}

function epochAt(step: number, { progress }: JobSummary, steps: number): number | undefined {
  return progress?.epochs == null ? undefined : Math.round((step / steps) * progress.epochs);
}
