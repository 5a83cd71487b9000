/** What a sweep's page reads. Its table and its jobs change when one of its jobs ends. */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { get } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { LARGEST_PAGE, type JobSummary } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";

type Schemas = components["schemas"];
export type SweepDetail = Schemas["SweepResponse"];
export type Table = Schemas["Table"];
export type Line = Schemas["TableLine"];
export type Network = "best" | "last";

export function sweepQuery(id: string) {
  return queryOptions({
    queryKey: queryKeys.item("sweeps", id, "sweep"),
    queryFn: ({ signal }) =>
      get("/v1/sweeps/{sweep_id}", { params: { path: { sweep_id: id } }, signal }),
  });
}

export function tableQuery(id: string, network: Network) {
  return queryOptions({
    queryKey: queryKeys.item("sweeps", id, "table", network),
    queryFn: ({ signal }) =>
      get("/v1/sweeps/{sweep_id}/table", {
        params: { path: { sweep_id: id }, query: { network } },
        signal,
      }),
    placeholderData: keepPreviousData,
  });
}

/** All its jobs; a sweep has at most 300. */
export function sweepJobsQuery(id: string) {
  return queryOptions({
    queryKey: queryKeys.list("jobs", { sweep: id, view: "all" }),
    queryFn: async ({ signal }) => {
      const jobs: JobSummary[] = [];
      let after: string | null = null;
      do {
        const query = { sweep: id, limit: LARGEST_PAGE, ...(after === null ? {} : { after }) };
        const page: Schemas["JobPage"] = await get("/v1/jobs", {
          params: { query },
          signal,
        });
        jobs.push(...page.data);
        after = page.next_cursor;
      } while (after !== null);
      return jobs;
    },
    placeholderData: keepPreviousData,
  });
}
