/** What the page reads: the comparison, and the curves of all runs. */

import { keepPreviousData, queryOptions, useQueries, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";

import { get } from "@/api/client";
import { metricsQuery, readCurves } from "@/api/metrics";
import { submittedJobQuery, type Job } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";

import type { View } from "./address";
import type { Comparison } from "./runs";

export const MOST_JOBS = 300;
const CURVE = "epoch_held_out_robust";
/** A chart is about 500 px wide: more points than that cannot be told apart. */
const POINTS = 500;
/** Of all curves together: those of many runs are a bundle, in which no single point is read. */
const MOST_POINTS = 20_000;
const FEWEST_POINTS = 100;

type Points = readonly (readonly [number, number])[];

/** `status: []`: progress of a running job changes no result, an event of its end does. */
export function comparisonQuery({ ids, base, network }: View) {
  const query = { jobs: ids.join(","), network, ...(base === undefined ? {} : { base }) };
  return queryOptions({
    queryKey: queryKeys.list("jobs", { comparison: query, status: [] }),
    queryFn: ({ signal }) =>
      get("/v1/compare", { params: { query: { ...query, jobs: [query.jobs] } }, signal }),
    placeholderData: keepPreviousData,
    enabled: ids.length > 1,
  });
}

/** Accuracies by class, in a request of its own: few people look at them. */
export function perClassQuery({ ids, network }: View) {
  const query = { jobs: ids.join(","), network, per_class: true };
  return queryOptions({
    queryKey: queryKeys.list("jobs", { comparison: query, status: [] }),
    queryFn: ({ signal }) =>
      get("/v1/compare", { params: { query: { ...query, jobs: [query.jobs] } }, signal }),
    placeholderData: keepPreviousData,
  });
}

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** Curves of all these runs, in one request. */
export function curvesQuery(ids: readonly string[]) {
  const sorted = [...ids].sort();
  return queryOptions({
    queryKey: ["compare", "curves", sorted],
    queryFn: async ({ signal }): Promise<Map<string, Points>> => {
      const points = Math.min(POINTS, Math.max(FEWEST_POINTS, MOST_POINTS / ids.length));
      const curves = await readCurves(sorted, CURVE, Math.floor(points), signal);
      return new Map(
        [...curves].flatMap(([id, [series]]) =>
          series === undefined ? [] : [[id, series.points]],
        ),
      );
    },
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    enabled: areComparable(ids),
  });
}

export function areComparable(ids: readonly string[]): boolean {
  return ids.length > 1 && ids.length <= MOST_JOBS;
}

/** Held-out robust accuracy of all runs, by job. */
export function useCurves(jobs: Comparison["jobs"]) {
  const live = jobs
    .filter(({ kind, status }) => kind !== "evaluation" && !ENDED.has(status))
    .map(({ id }) => id);
  const old = useQuery(curvesQuery(jobs.map(({ id }) => id)));
  const running = useQueries({
    queries: live.map((id) => metricsQuery(id, [CURVE], POINTS)),
    combine: (queries) => queries.map(({ data }) => data?.series[0]?.points),
  });
  const liveKey = live.join(",");
  useRefetch(old, liveKey);
  const curves = useMemo(() => {
    const all = new Map(old.data);
    liveKey.split(",").forEach((id, index) => {
      const points = running[index];
      if (points !== undefined) all.set(id, points);
    });
    return all;
  }, [old.data, running, liveKey]);
  return { curves, query: old };
}

/** Reads again when a run has ended or begun again: its whole curve is not there yet. */
function useRefetch({ refetch }: { refetch: () => Promise<unknown> }, liveKey: string): void {
  const last = useRef(liveKey);
  useEffect(() => {
    if (last.current === liveKey) return;
    last.current = liveKey;
    void refetch();
  }, [refetch, liveKey]);
}

/** The specs of a few jobs, for what a comparison does not say. */
export function useSpecs(ids: readonly string[]): ReadonlyMap<string, Job> {
  const queries = useQueries({ queries: ids.map((id) => submittedJobQuery(id)) });
  return new Map(queries.flatMap(({ data }) => (data === undefined ? [] : [[data.id, data]])));
}
