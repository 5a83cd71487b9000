/** Shows a job's progress at once, from the event that tells it: no request is needed. */

import type { Query, QueryClient } from "@tanstack/react-query";

import type { JobSummary } from "../queries";
import { queryKeys } from "../query_keys";
import type { LiveEvent } from "./live_connection";

type Progress = Pick<JobSummary, "phase" | "progress">;

/** Writes phase and progress into the job and the lists that have it, where its status is the same. */
export function applyProgress(client: QueryClient, { type, id, change, data }: LiveEvent): void {
  if (type !== "job" || (change !== "progress" && change !== "phase") || data == null) return;
  const { status, phase, progress } = data;
  const merge = (job: JobSummary): JobSummary =>
    job.id === id && job.status === status ? { ...job, ...({ phase, progress } as Progress) } : job;
  const cache = client.getQueryCache();
  for (const query of cache.findAll({ queryKey: queryKeys.list("jobs") })) {
    replaceData(client, query, (page) => {
      const rows = rowsOf(page);
      if (rows?.some((row) => merge(row) !== row) !== true) return page;
      return { ...(page as object), data: rows.map(merge) };
    });
  }
  for (const query of cache.findAll({ queryKey: queryKeys.item("jobs", id, "job") })) {
    replaceData(client, query, (job) => merge(job as JobSummary));
  }
}

/** What is out of date stays so: it is fetched when it is shown. */
function replaceData(client: QueryClient, query: Query, change: (data: unknown) => unknown): void {
  const { data, isInvalidated, dataUpdatedAt } = query.state;
  if (data === undefined || isInvalidated) return;
  const changed = change(data);
  if (changed !== data) {
    client.setQueryData(query.queryKey, changed, { updatedAt: dataUpdatedAt });
  }
}

/** The jobs of a page of a list; undefined for what else is read of jobs, such as a comparison. */
function rowsOf(page: unknown): readonly JobSummary[] | undefined {
  if (typeof page !== "object" || page === null || !("data" in page)) return undefined;
  return Array.isArray(page.data) ? (page.data as JobSummary[]) : undefined;
}
