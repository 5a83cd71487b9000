/** What the page reads. */

import { keepPreviousData, queryOptions, useQueries, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { get } from "@/api/client";
import {
  jobQuery,
  jobsQuery,
  type JobsParameters,
  type JobSummary,
  type Status,
} from "@/api/queries";
import type { Measure } from "@/format/measures";

import { STATUSES, toQuery, type Filters, type View } from "./address";
import { chosenScope, decidingMeasure, measuresOf, scopesOf, type Scope } from "./measures";

/** Enough to know which threat models there are, where the page's own rows have no results. */
const SAMPLE = 20;

export function rowsParameters({ filters, sort, after, limit }: View): JobsParameters {
  const parameters: JobsParameters = { ...toQuery(filters), sort, limit, include_total: true };
  if (after !== undefined) parameters.after = after;
  return parameters;
}

/** Number of jobs by status, under the filters. Undefined until all are known. */
export function useCounts(filters: Filters): ReadonlyMap<Status, number> | undefined {
  const statuses = filters.status ?? STATUSES;
  return useQueries({
    queries: statuses.map((status) =>
      jobsQuery({ ...toQuery(filters), status: [status], limit: 1, include_total: true }),
    ),
    combine: (queries) => {
      const totals = queries.map(({ data }) => data?.total);
      if (totals.some((total) => total == null)) return undefined;
      return new Map(statuses.map((status, index) => [status, totals[index] ?? 0]));
    },
  });
}

export interface Accuracies {
  scopes: readonly Scope[];
  scope: Scope | undefined;
  measures: readonly Measure[];
  deciding: Measure | undefined;
}

export function useAccuracies(rows: readonly JobSummary[], view: View): Accuracies {
  const { filters, scope: wish, sort } = view;
  const sample = useQuery(jobsQuery({ ...toQuery(filters), status: ["succeeded"], limit: SAMPLE }))
    .data?.data;
  return useMemo(() => {
    const jobs = [...rows, ...(sample ?? [])];
    const scopes = scopesOf(jobs);
    const scope = chosenScope(scopes, wish, sort);
    if (scope === undefined) return { scopes, scope, measures: [], deciding: undefined };
    const measures = measuresOf(jobs, scope);
    return { scopes, scope, measures, deciding: decidingMeasure(jobs, scope) };
  }, [rows, sample, wish, sort]);
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

/** The selected jobs: those on the page, and those of other pages, one by one. */
export function useSelected(selected: ReadonlySet<string>, rows: readonly JobSummary[]) {
  const onPage = new Map(rows.map((job) => [job.id, job]));
  const elsewhere = [...selected].filter((id) => !onPage.has(id));
  const others = useQueries({ queries: elsewhere.map((id) => jobQuery(id)) });
  const known = new Map<string, JobSummary>(onPage);
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
