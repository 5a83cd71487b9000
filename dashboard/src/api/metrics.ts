/** Curves of jobs. Those that are asked for in the same moment are read in one request. */

import { queryOptions } from "@tanstack/react-query";

import { get } from "./client";
import { ApiProblem } from "./problem";
import type { MetricSeries } from "./queries";
import { queryKeys } from "./query_keys";

export interface Metrics {
  series: readonly MetricSeries[];
}

/** Jobs in one request; REST takes 300. */
const MOST_JOBS = 100;

interface Waiting {
  id: string;
  resolve: (metrics: Metrics) => void;
  reject: (error: unknown) => void;
}

/** By names and points. */
const waiting = new Map<string, Waiting[]>();

/** Curves of a job; `points` is about the number of points in each. */
export function metricsQuery(id: string, names: readonly string[], points: number) {
  const query = { names: names.join(","), points };
  return queryOptions({
    queryKey: queryKeys.item("jobs", id, "metrics", query),
    queryFn: () => readTogether(id, query.names, points),
  });
}

function readTogether(id: string, names: string, points: number): Promise<Metrics> {
  return new Promise((resolve, reject) => {
    const key = JSON.stringify([names, points]);
    const jobs = waiting.get(key);
    const entry = { id, resolve, reject };
    if (jobs !== undefined) {
      jobs.push(entry);
      return;
    }
    waiting.set(key, [entry]);
    setTimeout(() => {
      const all = waiting.get(key) ?? [];
      waiting.delete(key);
      for (let start = 0; start < all.length; start += MOST_JOBS) {
        void readBatch(all.slice(start, start + MOST_JOBS), names, points);
      }
    });
  });
}

async function readBatch(batch: readonly Waiting[], names: string, points: number): Promise<void> {
  try {
    const ids = batch.map(({ id }) => id);
    const curves = await readCurves(ids, names, points);
    for (const { id, resolve } of batch) resolve({ series: curves.get(id) ?? [] });
  } catch (error) {
    const isOneMissing = error instanceof ApiProblem && error.status === 404 && batch.length > 1;
    // One job was deleted meanwhile: the others are to be read all the same.
    if (isOneMissing) await Promise.all(batch.map((one) => readBatch([one], names, points)));
    else for (const { reject } of batch) reject(error);
  }
}

/** Curves by job, of at most 300 jobs, in one request. Throws ApiProblem. */
export async function readCurves(
  ids: readonly string[],
  names: string,
  points: number,
  signal?: AbortSignal,
): Promise<Map<string, readonly MetricSeries[]>> {
  const query = { jobs: [[...new Set(ids)].join(",")], names, points };
  const { jobs } = await get("/v1/compare/metrics", {
    params: { query },
    ...(signal === undefined ? {} : { signal }),
  });
  return new Map(jobs.map(({ job_id: id, series }) => [id, series]));
}
