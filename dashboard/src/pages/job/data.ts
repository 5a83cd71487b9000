/** What the page of a job reads besides the job itself. */

import { queryOptions, type QueryClient } from "@tanstack/react-query";

import { get } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { LARGEST_PAGE, type Job } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";

type Schemas = components["schemas"];
export type Report = Schemas["Report"];
export type JobEvent = Schemas["EventResponse"];
export type Attempt = Schemas["AttemptResponse"];
export type Artifact = Schemas["ArtifactResponse"];
export type MeasureResult = Schemas["MeasureResult"];

/** Pages of events that are read: of a longer history the newest are missing. */
const MOST_EVENT_PAGES = 20;

export interface JobEvents {
  events: readonly JobEvent[];
  isComplete: boolean;
}

/** Events so far; of those that are known already nothing is read again. */
export function eventsQuery(id: string) {
  const queryKey = queryKeys.item("jobs", id, "events");
  return queryOptions({
    queryKey,
    queryFn: async ({ signal, client }): Promise<JobEvents> =>
      readEvents(id, knownEvents(client, queryKey), signal),
  });
}

function knownEvents(client: QueryClient, queryKey: readonly unknown[]): readonly JobEvent[] {
  return client.getQueryData<JobEvents>(queryKey)?.events ?? [];
}

async function readEvents(
  id: string,
  known: readonly JobEvent[],
  signal: AbortSignal,
): Promise<JobEvents> {
  const events = [...known];
  for (let page = 0; page < MOST_EVENT_PAGES; page += 1) {
    const query = { after: events.at(-1)?.seq ?? 0, limit: LARGEST_PAGE };
    const params = { path: { job_id: id }, query };
    const { data } = await get("/v1/jobs/{job_id}/events", { params, signal });
    events.push(...data);
    if (data.length < LARGEST_PAGE) return { events, isComplete: true };
  }
  return { events, isComplete: false };
}

export function attemptsQuery(id: string) {
  const params = { path: { job_id: id }, query: { limit: LARGEST_PAGE } };
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "attempts"),
    queryFn: ({ signal }) => get("/v1/jobs/{job_id}/attempts", { params, signal }),
  });
}

export function artifactsQuery(id: string) {
  const params = { path: { job_id: id }, query: { limit: LARGEST_PAGE } };
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "artifacts"),
    queryFn: ({ signal }) => get("/v1/jobs/{job_id}/artifacts", { params, signal }),
  });
}

export function reportQuery(job: Job) {
  const params = { path: { job_id: job.id }, query: { format: "json" as const } };
  return queryOptions({
    queryKey: queryKeys.item("jobs", job.id, "report"),
    queryFn: ({ signal }) => get("/v1/jobs/{job_id}/report", { params, signal }),
    enabled: job.status === "succeeded" && !job.kind.startsWith("import_"),
  });
}

export function datasetQuery(id: string | null | undefined) {
  const params = { path: { reference: id ?? "" } };
  return queryOptions({
    queryKey: queryKeys.item("datasets", id ?? "", "dataset"),
    queryFn: ({ signal }) => get("/v1/datasets/{reference}", { params, signal }),
    enabled: id != null,
  });
}
