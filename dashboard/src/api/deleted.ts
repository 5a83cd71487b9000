/** Deleting, restoring, and what can be restored: a short list, as it is kept for some days only. */

import { queryOptions } from "@tanstack/react-query";

import { api, get, unwrap } from "./client";
import { LARGEST_PAGE } from "./queries";
import { queryKeys } from "./query_keys";

export interface DeletedItem {
  id: string;
  name: string | null;
  deleted_at?: string | null;
}

export type DeletableNoun = "jobs" | "models" | "datasets";

/** `status: []`: what happens to jobs that run changes nothing of it. */
export function deletedQuery(noun: DeletableNoun) {
  const query = { deleted: true, limit: LARGEST_PAGE };
  return queryOptions({
    queryKey: queryKeys.list(noun, { ...query, status: [] }),
    queryFn: async ({ signal }): Promise<readonly DeletedItem[]> => {
      const page = await get(`/v1/${noun}`, { params: { query }, signal });
      return page.data;
    },
  });
}

/** Of mutations that delete what their page shows. Meanwhile events make it fetch nothing. */
export const DELETION = ["deletion"];

/** Throws ApiProblem: a job has to have ended, for example. */
export async function remove(noun: DeletableNoun, id: string): Promise<unknown> {
  if (noun === "jobs") {
    return unwrap(api.DELETE("/v1/jobs/{job_id}", { params: { path: { job_id: id } } }));
  }
  const params = { path: { reference: id } };
  if (noun === "models") return unwrap(api.DELETE("/v1/models/{reference}", { params }));
  return unwrap(api.DELETE("/v1/datasets/{reference}", { params }));
}

/** Throws ApiProblem: the name may be taken by now. */
export async function restore(noun: DeletableNoun, id: string): Promise<unknown> {
  if (noun === "jobs") {
    return unwrap(api.POST("/v1/jobs/{job_id}/restore", { params: { path: { job_id: id } } }));
  }
  if (noun === "models") {
    return unwrap(
      api.POST("/v1/models/{model_id}/restore", { params: { path: { model_id: id } } }),
    );
  }
  const params = { path: { dataset_id: id } };
  return unwrap(api.POST("/v1/datasets/{dataset_id}/restore", { params }));
}
