/** Jobs: where is my run, and which is best? */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { jobsQuery, type JobSummary } from "@/api/queries";
import { Status } from "@/components/marks/Status";
import { PageHead } from "@/components/page/PageHead";
import { Empty, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { jobTitle, kindTitle, methodTitle } from "@/format/names";
import { plural } from "@/format/numbers";

const COLUMNS: Column<JobSummary>[] = [
  {
    id: "name",
    title: "Name",
    isRowHead: true,
    stack: "name",
    cell: (job) => <Link to={`/jobs/${job.id}`}>{jobTitle(job)}</Link>,
  },
  { id: "status", title: "Status", stack: "state", cell: (job) => <Status status={job.status} /> },
  {
    id: "method",
    title: "Method",
    cell: (job) => (job.method === null ? kindTitle(job.kind) : methodTitle(job.method)),
  },
  {
    id: "created_at",
    title: "Created",
    kind: "number",
    stack: "when",
    cell: (job) => <Time at={job.created_at} />,
  },
];

export default function JobsPage() {
  const jobs = useQuery(jobsQuery({ include_total: true }));
  return (
    <>
      <PageHead title="Jobs" answer={<strong>{plural(jobs.data?.total ?? 0, "job")}.</strong>} />
      <QueryState query={jobs} rows={8}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty action={<Link to="/submit">New job</Link>}>
              No jobs yet. Start from the digits example; it takes half a minute.
            </Empty>
          ) : (
            <DataTable label="Jobs" rows={data} columns={COLUMNS} rowId={(job) => job.id} stack />
          )
        }
      </QueryState>
    </>
  );
}
