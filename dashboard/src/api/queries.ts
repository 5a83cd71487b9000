/**
 * Queries that several pages share. A page's own queries stand in its folder, made the same way.
 * Lists keep their old rows until new ones are there.
 */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { get } from "./client";
import type { components, operations } from "./generated/schema";
import { queryKeys } from "./query_keys";

type Schemas = components["schemas"];
export type JobSummary = Schemas["JobSummaryResponse"];
export type Job = Schemas["JobResponse"];
export type Worker = Schemas["WorkerResponse"];
export type Sweep = Schemas["SweepSummaryResponse"];
export type Model = Schemas["ModelResponse"];
export type Dataset = Schemas["DatasetResponse"];
export type MetricSeries = Schemas["MetricSeries"];
export type Status = JobSummary["status"];
export type JobsParameters = NonNullable<operations["list_jobs"]["parameters"]["query"]>;

/** Items on the largest page that REST gives. */
export const LARGEST_PAGE = 200;

export function jobsQuery(parameters: JobsParameters = {}) {
  return queryOptions({
    queryKey: queryKeys.list("jobs", parameters),
    queryFn: ({ signal }) => get("/v1/jobs", { params: { query: parameters }, signal }),
    placeholderData: keepPreviousData,
  });
}

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "job"),
    queryFn: ({ signal }) => get("/v1/jobs/{job_id}", { params: { path: { job_id: id } }, signal }),
  });
}

/** Curves of a job; `points` is about the number of points in each. */
export function metricsQuery(id: string, names: readonly string[], points: number) {
  const query = { names: names.join(","), points };
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "metrics", query),
    queryFn: ({ signal }) =>
      get("/v1/jobs/{job_id}/metrics", {
        params: { path: { job_id: id }, query },
        signal,
      }),
  });
}

export function workersQuery() {
  const query = { limit: LARGEST_PAGE };
  return queryOptions({
    queryKey: queryKeys.list("workers", query),
    queryFn: ({ signal }) => get("/v1/workers", { params: { query }, signal }),
    placeholderData: keepPreviousData,
  });
}

export function sweepsQuery(query: { limit?: number; after?: string } = {}) {
  return queryOptions({
    queryKey: queryKeys.list("sweeps", query),
    queryFn: ({ signal }) => get("/v1/sweeps", { params: { query }, signal }),
    placeholderData: keepPreviousData,
  });
}

export function modelsQuery(query: { limit?: number; after?: string } = {}) {
  return queryOptions({
    queryKey: queryKeys.list("models", query),
    queryFn: ({ signal }) => get("/v1/models", { params: { query }, signal }),
    placeholderData: keepPreviousData,
  });
}

export function datasetsQuery(query: { limit?: number; after?: string } = {}) {
  return queryOptions({
    queryKey: queryKeys.list("datasets", query),
    queryFn: ({ signal }) => get("/v1/datasets", { params: { query }, signal }),
    placeholderData: keepPreviousData,
  });
}
