/** What the overview reads, and what it makes of it. */

import { queryOptions, useQueries, useQuery } from "@tanstack/react-query";

import { get } from "@/api/client";
import {
  datasetsQuery,
  jobCountsQuery,
  jobsQuery,
  LARGEST_PAGE,
  submittedJobQuery,
  sweepsQuery,
  workersQuery,
  type Dataset,
  type Job,
  type JobSummary,
  type Status,
} from "@/api/queries";

export const RUNNING: Status[] = ["running", "pausing", "cancelling"];
/** More than a page shows at a glance; further ones are counted. */
const MOST_CARDS = 8;
const QUEUE_LENGTH = 5;
const RECENT_SWEEPS = 5;
export const FINISHED_ROWS = 6;
const STALE_AFTER_MS = 10 * 60_000;

export function useOverview() {
  return {
    workers: useQuery(workersQuery()),
    counts: useQuery(jobCountsQuery()),
    running: useQuery(jobsQuery({ status: RUNNING, limit: MOST_CARDS })),
    queued: useQuery(jobsQuery({ status: ["queued"], sort: "created_at", limit: QUEUE_LENGTH })),
    failed: useQuery(lastEndedQuery("failed")),
    succeeded: useQuery(lastEndedQuery("succeeded")),
    sweeps: useQuery(sweepsQuery({ limit: RECENT_SWEEPS })),
  };
}

/** Reads at once what sections need that are shown when the rest is there. */
export function useReadAhead(): void {
  useQuery(allDatasetsQuery);
  useQuery(storageQuery);
}

const allDatasetsQuery = datasetsQuery({ limit: LARGEST_PAGE });

/** The service adds up rows for it: once a visit is enough. */
export const storageQuery = queryOptions({
  queryKey: ["storage"],
  queryFn: ({ signal }) => get("/v1/storage", { signal }),
  staleTime: STALE_AFTER_MS,
});

/** By the time of their end: one that was submitted long ago may have ended just now. */
function lastEndedQuery(status: Status) {
  return jobsQuery({ status: [status], sort: "-finished_at", limit: LARGEST_PAGE });
}

/** Number of jobs in any of these statuses. */
export function countOf({ counts }: Overview, ...statuses: Status[]): number {
  return statuses.reduce((sum, status) => sum + (counts.data?.statuses[status] ?? 0), 0);
}

export type Overview = ReturnType<typeof useOverview>;

/** The jobs with their specs; those that are still loading are left out. */
export function useJobs(jobs: readonly JobSummary[]): Map<string, Job> {
  const queries = useQueries({ queries: jobs.map(({ id }) => submittedJobQuery(id)) });
  return new Map(queries.flatMap(({ data }) => (data === undefined ? [] : [[data.id, data]])));
}

/** Data sets by id. */
export function useDatasets(): Map<string, Dataset> {
  const datasets = useQuery(allDatasetsQuery).data?.data ?? [];
  return new Map(datasets.map((dataset) => [dataset.id, dataset]));
}

/** Number of test images by a data set's id. */
export function useTestImages(): Map<string, number> {
  return new Map(
    [...useDatasets()].flatMap(([id, { description }]) =>
      description === null ? [] : [[id, description.test_images]],
    ),
  );
}
