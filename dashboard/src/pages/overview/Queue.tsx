import { Link } from "react-router";

import type { JobSummary } from "@/api/queries";
import { Between, List, Section } from "@/components/page/Section";
import { Duration } from "@/components/text/Time";
import { jobTitle } from "@/format/names";
import { formatNumber } from "@/format/numbers";

/** Who waits, the longest first. */
export function Queue({ jobs, total }: { jobs: readonly JobSummary[]; total: number }) {
  const all = total > jobs.length ? `All ${formatNumber(total)}` : "All jobs";
  return (
    <Section title="Queue" more={<Link to="/jobs?status=queued">{all}</Link>} span={5}>
      {jobs.length === 0 ? (
        <p className="mid">No job waits.</p>
      ) : (
        <List ordered>
          {jobs.map((job, index) => (
            <li key={job.id}>
              <Between>
                <span>
                  <span className="dim">{index + 1}</span>&ensp;
                  <Link className="quiet" to={`/jobs/${job.id}`}>
                    {jobTitle(job)}
                  </Link>
                </span>
                <span className="small dim">
                  waits <Duration from={job.created_at} />
                </span>
              </Between>
              {job.pending_reason !== null && <p className="small dim">{job.pending_reason}</p>}
            </li>
          ))}
        </List>
      )}
    </Section>
  );
}
