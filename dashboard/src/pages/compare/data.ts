/** What the page reads: the comparison, and the curves of all runs. */

import { keepPreviousData, queryOptions, useQueries, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { get } from "@/api/client";
import { jobQuery, metricsQuery, type Job } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";

import type { View } from "./address";
import type { Comparison } from "./runs";

export const MOST_JOBS = 300;
const CURVE = "epoch_held_out_robust";
/** A chart is about 500 px wide: more points than that cannot be told apart. */
const POINTS = 500;
const AT_A_TIME = 6;

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

/** Curves of runs that have ended: read once, a few at a time. */
function endedCurvesQuery(ids: readonly string[]) {
  return queryOptions({
    queryKey: ["compare", "curves", ids],
    queryFn: ({ signal }) => readCurves(ids, signal),
    staleTime: Infinity,
    enabled: ids.length > 0,
  });
}

async function readCurves(
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, Points>> {
  const curves = new Map<string, Points>();
  const waiting = [...ids];
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      const { series } = await get("/v1/jobs/{job_id}/metrics", {
        params: { path: { job_id: id }, query: { names: CURVE, points: POINTS } },
        signal,
      });
      const points = series[0]?.points;
      if (points !== undefined) curves.set(id, points);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return curves;
}

/** Held-out robust accuracy of all runs, by job. */
export function useCurves(jobs: Comparison["jobs"]) {
  const trained = jobs.filter(({ kind }) => kind !== "evaluation");
  const ended = trained.filter(({ status }) => ENDED.has(status)).map(({ id }) => id);
  const live = trained.filter(({ status }) => !ENDED.has(status)).map(({ id }) => id);
  const old = useQuery(endedCurvesQuery(ended));
  const running = useQueries({
    queries: live.map((id) => metricsQuery(id, [CURVE], POINTS)),
    combine: (queries) => queries.map(({ data }) => data?.series[0]?.points),
  });
  const liveKey = live.join(",");
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

/** The specs of a few jobs, for what a comparison does not say. */
export function useSpecs(ids: readonly string[]): ReadonlyMap<string, Job> {
  const queries = useQueries({ queries: ids.map((id) => jobQuery(id)) });
  return new Map(queries.flatMap(({ data }) => (data === undefined ? [] : [[data.id, data]])));
}
