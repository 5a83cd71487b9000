/** What the page reads. */

import {
  keepPreviousData,
  queryOptions,
  useQueries,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useMemo } from "react";

import { get } from "@/api/client";
import {
  jobCountsQuery,
  jobQuery,
  jobsQuery,
  type JobPage,
  type JobsParameters,
  type JobSummary,
  type Status,
} from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import type { Measure } from "@/format/measures";

import { STATUSES, toQuery, type Filters, type View } from "./address";
import { chosenScope, decidingMeasure, measuresOf, scopesOf, type Scope } from "./measures";

/** Enough to know which threat models there are, where the page's own rows have no results. */
const SAMPLE = 20;

export function rowsParameters({ filters, sort, after, limit }: View): JobsParameters {
  const parameters: JobsParameters = { ...toQuery(filters), sort, limit };
  if (after !== undefined) parameters.after = after;
  return parameters;
}

/** Number of jobs by status, under the filters. Undefined until they are known. */
export function useCounts(
  filters: Filters,
  isWanted: boolean,
): ReadonlyMap<Status, number> | undefined {
  const counts = useQuery({ ...jobCountsQuery(toQuery(filters)), enabled: isWanted }).data;
  return useMemo(
    () => counts && new Map(STATUSES.map((status) => [status, counts.statuses[status] ?? 0])),
    [counts],
  );
}

export interface Accuracies {
  scopes: readonly Scope[];
  scope: Scope | undefined;
  measures: readonly Measure[];
  deciding: Measure | undefined;
}

export function useAccuracies(page: JobPage | undefined, view: View): Accuracies {
  const { filters, scope: wish, sort } = view;
  const sample = useQuery(
    jobsQuery({ ...toQuery(filters), status: ["succeeded"], limit: SAMPLE }),
  ).data;
  return useMemo(() => {
    const jobs = [...(page?.data ?? []), ...(sample?.data ?? [])];
    const scopes = scopesOf(jobs);
    const scope = chosenScope(scopes, wish, sort);
    if (scope === undefined) return { scopes, scope, measures: [], deciding: undefined };
    const deciding = decidingMeasure([page, sample], scope);
    return { scopes, scope, measures: measuresOf(jobs, scope, deciding), deciding };
  }, [page, sample, wish, sort]);
}

/** The job with the highest deciding accuracy, under the filters. */
export function useBest(filters: Filters, { scope, deciding }: Accuracies): JobSummary | undefined {
  const isKnown = scope !== undefined && deciding !== undefined;
  const best = useQuery({
    ...jobsQuery({
      ...toQuery(filters),
      dataset: scope?.datasetId ?? "",
      sort: `-${deciding?.key ?? ""}`,
      limit: 1,
    }),
    enabled: isKnown,
  });
  return isKnown ? best.data?.data[0] : undefined;
}

/** The selected jobs: those on this page and on pages seen before; the others one by one. */
export function useSelected(selected: ReadonlySet<string>, rows: readonly JobSummary[]) {
  const client = useQueryClient();
  const lists = client.getQueriesData<Partial<JobPage>>({ queryKey: queryKeys.list("jobs") });
  const listed = [...lists.flatMap(([, page]) => page?.data ?? []), ...rows];
  const known = new Map<string, JobSummary>(listed.map((job) => [job.id, job]));
  const unknown = [...selected].filter((id) => !known.has(id));
  const others = useQueries({ queries: unknown.map((id) => jobQuery(id)) });
  for (const { data } of others) if (data !== undefined) known.set(data.id, data);
  return [...selected].flatMap((id) => known.get(id) ?? []);
}

export function methodsQuery() {
  return queryOptions({
    queryKey: ["methods"],
    queryFn: ({ signal }) => get("/v1/methods", { signal }),
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
}

export function architecturesQuery() {
  return queryOptions({
    queryKey: ["architectures"],
    queryFn: ({ signal }) => get("/v1/architectures", { signal }),
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
}
