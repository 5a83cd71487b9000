/** What a model's page reads, and how it changes it. */

import { queryOptions } from "@tanstack/react-query";

import { api, get } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { LARGEST_PAGE, type Model } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { withEtag, type Versioned } from "@/components/records/versioned";

type Schemas = components["schemas"];
export type Lineage = Schemas["LineageResponse"];
export type LineageNode = Schemas["LineageNode"];
export type Artifact = Schemas["ArtifactResponse"];
export type VersionedModel = Versioned<Model>;

export function modelQuery(id: string) {
  return queryOptions({
    // Not "model": pages that need no ETag cache the bare model by that.
    queryKey: queryKeys.item("models", id, "versioned"),
    queryFn: ({ signal }): Promise<VersionedModel> =>
      withEtag(
        api.GET("/v1/models/{reference}", { params: { path: { reference: id } }, signal }),
      ) as Promise<VersionedModel>,
  });
}

export function versionsQuery(series: string) {
  const query = { series, limit: LARGEST_PAGE };
  return queryOptions({
    queryKey: queryKeys.list("models", query),
    queryFn: ({ signal }) => get("/v1/models", { params: { query }, signal }),
  });
}

/** Jobs change it, too: a new student, an evaluation. */
export function lineageQuery(id: string) {
  return queryOptions({
    queryKey: queryKeys.list("jobs", { status: ["succeeded"], lineage: id }),
    queryFn: ({ signal }) =>
      get("/v1/models/{reference}/lineage", { params: { path: { reference: id } }, signal }),
  });
}

export function filesQuery(jobId: string) {
  return queryOptions({
    queryKey: queryKeys.item("jobs", jobId, "files"),
    queryFn: ({ signal }) =>
      get("/v1/jobs/{job_id}/artifacts", {
        params: { path: { job_id: jobId }, query: { limit: LARGEST_PAGE } },
        signal,
      }),
  });
}
