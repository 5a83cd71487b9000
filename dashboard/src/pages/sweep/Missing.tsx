/** Which cells are missing and why, and the way to get them. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";

import { api, unwrap } from "@/api/client";
import type { JobSummary } from "@/api/queries";
import { canRetry } from "@/api/retry";
import { Button } from "@/components/controls/Button";
import { Status } from "@/components/marks/Status";
import { Note, Section } from "@/components/page/Section";
import { Failure } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { jobTitle } from "@/format/names";
import { plural } from "@/format/numbers";

import { missingReason } from "./sentences";
import styles from "./sweep.module.css";

interface MissingProps {
  jobs: readonly JobSummary[];
  canEdit: boolean;
}

export function Missing({ jobs, canEdit }: MissingProps) {
  const missing = jobs.filter(({ status }) => status !== "succeeded");
  const retryable = missing.filter(canRetry);
  const retry = useRetry();
  if (missing.length === 0) return null;
  const others = missing.some((job) => job.status === "failed" && !canRetry(job));
  const action = canEdit && retryable.length > 0 && (
    <Button onClick={() => retry.mutate(retryable)} disabled={retry.isPending}>
      Retry {plural(retryable.length, "job")}
    </Button>
  );
  return (
    <Section
      title="Missing"
      note={`${plural(missing.length, "job")} without results`}
      more={action}
    >
      {retry.error !== null && <Failure error={retry.error} />}
      <DataTable
        label="Jobs without results"
        rows={missing}
        columns={COLUMNS}
        rowId={({ id }) => id}
      />
      {others && <Note>A job that its settings made fail would fail again: clone it changed.</Note>}
    </Section>
  );
}

/** One after the other: the first refusal ends it, and is shown. */
function useRetry() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (jobs: readonly JobSummary[]) => {
      for (const { id } of jobs) {
        await unwrap(api.POST("/v1/jobs/{job_id}/retry", { params: { path: { job_id: id } } }));
      }
    },
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["jobs"] });
      void client.invalidateQueries({ queryKey: ["sweeps"] });
    },
  });
}

const COLUMNS: Column<JobSummary>[] = [
  {
    id: "job",
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
    id: "reason",
    title: "Why",
    below: true,
    cell: (job) => (
      <span className={styles.reason}>
        {missingReason(job)}
        {job.failure?.advice != null && <span className="sub">{job.failure.advice}</span>}
      </span>
    ),
  },
];
