/** The newest jobs that have used the data set. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { jobsQuery, type JobSummary } from "@/api/queries";
import { Status } from "@/components/marks/Status";
import { Section } from "@/components/page/Section";
import { Empty, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { jobTitle, kindTitle, methodTitle } from "@/format/names";

import styles from "./dataset.module.css";

const ROWS = 10;

export function UsedBy({ id }: { id: string }) {
  const jobs = useQuery(jobsQuery({ dataset: id, limit: ROWS }));
  const all = <Link to={`/jobs?dataset=${encodeURIComponent(id)}`}>All jobs with it</Link>;
  return (
    <Section title="Used by" note="newest jobs" more={all}>
      <QueryState query={jobs}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>No job has used it yet.</Empty>
          ) : (
            <DataTable label="Jobs" rows={data} columns={COLUMNS} rowId={(job) => job.id} />
          )
        }
      </QueryState>
    </Section>
  );
}

const COLUMNS: Column<JobSummary>[] = [
  {
    id: "name",
    title: "Job",
    isRowHead: true,
    cell: (job) => (
      <Link className={styles.name} to={`/jobs/${job.id}`} title={jobTitle(job)}>
        {jobTitle(job)}
      </Link>
    ),
  },
  { id: "status", title: "Status", cell: ({ status }) => <Status status={status} /> },
  {
    id: "kind",
    title: "Kind",
    hide: "phone",
    cell: ({ kind, method }) => (method === null ? kindTitle(kind) : methodTitle(method)),
  },
  {
    id: "created",
    title: "Created",
    kind: "number",
    cell: ({ created_at: at }) => <Time at={at} />,
  },
];
