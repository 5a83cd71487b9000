/** Changes of many jobs: one request each, a few at a time. */

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import { remove, restore } from "@/api/deleted";
import type { JobSummary } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { jobTitle } from "@/format/names";

export type JobAction = "cancel" | "retry" | "delete" | "restore";

const AT_A_TIME = 4;

/** What has come of an action. */
export interface Outcome {
  action: JobAction;
  done: readonly JobSummary[];
  /** One sentence for each job for which it was refused. */
  refusals: readonly string[];
}

export function useJobActions() {
  const client = useQueryClient();
  const [isBusy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  const act = async (action: JobAction, jobs: readonly JobSummary[]): Promise<Outcome> => {
    setBusy(true);
    const result = await actOnAll(action, jobs);
    await client.invalidateQueries({ queryKey: queryKeys.list("jobs") });
    setBusy(false);
    setOutcome(result);
    return result;
  };
  return { isBusy, outcome, act, dismiss: () => setOutcome(undefined) };
}

async function actOnAll(action: JobAction, jobs: readonly JobSummary[]): Promise<Outcome> {
  const done: JobSummary[] = [];
  const refusals: string[] = [];
  const waiting = [...jobs];
  const work = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      try {
        await request(action, job.id);
        done.push(job);
      } catch (error) {
        refusals.push(`${jobTitle(job)}: ${error instanceof Error ? error.message : "failed."}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return { action, done, refusals };
}

function request(action: JobAction, id: string): Promise<unknown> {
  const params = { path: { job_id: id } };
  switch (action) {
    case "cancel":
      return unwrap(api.POST("/v1/jobs/{job_id}/cancel", { params }));
    case "retry":
      return unwrap(api.POST("/v1/jobs/{job_id}/retry", { params }));
    case "restore":
      return restore("jobs", id);
    case "delete":
      return remove("jobs", id);
  }
}
