import { Link } from "react-router";

import type { JobSummary } from "@/api/queries";
import { Status } from "@/components/marks/Status";
import { Between, List, Section } from "@/components/page/Section";
import { Age } from "@/components/text/Time";
import { jobTitle } from "@/format/names";
import { formatNumber } from "@/format/numbers";

import styles from "./overview.module.css";

const MOST_ROWS = 4;

export function FailedJobs({ jobs }: { jobs: readonly JobSummary[] }) {
  const more = jobs.length > MOST_ROWS && (
    <Link to="/jobs?status=failed">All {formatNumber(jobs.length)}</Link>
  );
  return (
    <Section title="Failed" note="last 24 hours" more={more} span={7}>
      {jobs.length === 0 ? (
        <p className="mid">Nothing failed.</p>
      ) : (
        <List>
          {jobs.slice(0, MOST_ROWS).map((job) => (
            <li key={job.id}>
              <FailedJob job={job} />
            </li>
          ))}
        </List>
      )}
    </Section>
  );
}

function FailedJob({ job }: { job: JobSummary }) {
  return (
    <>
      <Between>
        <span className={styles.lead}>
          <Status status={job.status} />
          <Link className={styles.title} to={`/jobs/${job.id}`} title={jobTitle(job)}>
            {jobTitle(job)}
          </Link>
        </span>
        {job.finished_at !== null && (
          <span className="small dim">
            <Age at={job.finished_at} />
          </span>
        )}
      </Between>
      <p className={styles.reason} title={job.failure?.message}>
        {job.failure?.message ?? "No reason was reported."}
      </p>
      <p className="small dim">
        {wayOn(job)} <Link to={`/submit?clone=${job.id}`}>Retry with changes</Link>
      </p>
    </>
  );
}

/** Whether it will be tried again, and why not. */
function wayOn({ failure, attempt }: JobSummary): string {
  const tried = attempt > 1 ? `Tried ${attempt} times.` : "Tried once.";
  if (failure?.class === "user") return `${tried} The same settings would fail the same way.`;
  if (failure?.class === "timeout") return `${tried} It ran out of its time.`;
  return `${tried} A worker failed, not the job's settings.`;
}
