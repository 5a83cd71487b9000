/**
 * Queries that several pages share. A page's own queries stand in its folder, made the same way.
 * Lists keep their old rows until new ones are there.
 */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { get } from "./client";
import type { components, operations } from "./generated/schema";
import { COUNTED, queryKeys } from "./query_keys";

type Schemas = components["schemas"];
export type JobSummary = Schemas["JobSummaryResponse"];
export type JobPage = Schemas["JobPage"];
export type Job = Schemas["JobResponse"];
export type Worker = Schemas["WorkerResponse"];
export type Sweep = Schemas["SweepSummaryResponse"];
export type Model = Schemas["ModelResponse"];
export type Dataset = Schemas["DatasetResponse"];
export type MetricSeries = Schemas["MetricSeries"];
export type Status = JobSummary["status"];
export type JobsParameters = NonNullable<operations["list_jobs"]["parameters"]["query"]>;

export type JobsFilters = NonNullable<operations["count_jobs"]["parameters"]["query"]>;

/** Items on the largest page that REST gives. */
export const LARGEST_PAGE = 200;

export function jobsQuery(parameters: JobsParameters = {}) {
  return queryOptions({
    queryKey: queryKeys.list("jobs", parameters),
    queryFn: ({ signal }) => get("/v1/jobs", { params: { query: parameters }, signal }),
    placeholderData: keepPreviousData,
  });
}

/** Number of jobs by status, under the filters of a list. */
export function jobCountsQuery(filters: JobsFilters = {}) {
  return queryOptions({
    queryKey: queryKeys.list("jobs", { ...filters, [COUNTED]: true }),
    queryFn: ({ signal }) => get("/v1/job-counts", { params: { query: filters }, signal }),
    placeholderData: keepPreviousData,
  });
}

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "job"),
    queryFn: ({ signal }) => get("/v1/jobs/{job_id}", { params: { path: { job_id: id } }, signal }),
  });
}

/** A job as it was submitted: what of it never changes, such as its spec. */
export function submittedJobQuery(id: string) {
  return queryOptions({
    queryKey: ["submitted job", id],
    queryFn: ({ signal }) => get("/v1/jobs/{job_id}", { params: { path: { job_id: id } }, signal }),
    staleTime: Infinity,
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

export function modelQuery(id: string | null | undefined) {
  const params = { path: { reference: id ?? "" } };
  return queryOptions({
    queryKey: queryKeys.item("models", id ?? "", "model"),
    queryFn: ({ signal }) => get("/v1/models/{reference}", { params, signal }),
    enabled: id != null,
  });
}

export function datasetsQuery(query: { limit?: number; after?: string } = {}) {
  return queryOptions({
    queryKey: queryKeys.list("datasets", query),
    queryFn: ({ signal }) => get("/v1/datasets", { params: { query }, signal }),
    placeholderData: keepPreviousData,
  });
}
