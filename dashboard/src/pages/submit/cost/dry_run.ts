/** The dry run while typing: what the service says of the body as it is now. */

import { useEffect, useState } from "react";

import { api, unwrap } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { ApiProblem } from "@/api/problem";

import { isSweep } from "../yaml/document";
import type { JsonObject } from "../spec/values";

type Schemas = components["schemas"];
export type JobDryRun = Schemas["DryRunResponse"];
export type SweepDryRun = Schemas["SweepDryRunResponse"];

export type DryRun =
  { endpoint: "jobs"; result: JobDryRun } | { endpoint: "sweeps"; result: SweepDryRun };

const TYPING_MS = 300;
/** Memory that is not known yet is worked out by a worker within seconds: asked again this late. */
const AGAIN_AFTER_MS = [2000, 4000, 8000];

interface Outcome {
  /** The body, as JSON, that the problem or its absence is of. */
  key: string;
  problem: ApiProblem | undefined;
  /** Of the last body that could run. */
  last: DryRun | undefined;
  /** Times that this body was asked again. */
  repeats: number;
}

export interface DryRunState {
  /** What is wrong with the body; undefined while that is not known. */
  problem: ApiProblem | undefined;
  /** Of the last body that could run: of this one, where `isValid`. */
  last: DryRun | undefined;
  /** The service has said that this body could run. */
  isValid: boolean;
}

/** Sends a body that submits nothing. Throws ApiProblem. */
export async function dryRun(body: JsonObject, signal?: AbortSignal): Promise<DryRun> {
  const init = { params: { query: { dry_run: true } }, signal: signal ?? null };
  if (isSweep(body)) {
    const sweep = body as unknown as Schemas["SweepSpec"];
    const result = await unwrap(api.POST("/v1/sweeps", { ...init, body: sweep }));
    return { endpoint: "sweeps", result: result as SweepDryRun };
  }
  const spec = body as unknown as Schemas["EvaluationJobSpec"];
  const result = await unwrap(api.POST("/v1/jobs", { ...init, body: spec }));
  return { endpoint: "jobs", result: result as JobDryRun };
}

export function useDryRun(body: JsonObject | undefined): DryRunState {
  const key = body === undefined ? "" : JSON.stringify(body);
  const [outcome, setOutcome] = useState<Outcome>();
  const isKnown = outcome?.key === key;
  const repeats = isKnown ? outcome.repeats : -1;
  const isWaiting = isKnown && outcome.problem === undefined && isPending(outcome.last);
  const pause = isWaiting ? AGAIN_AFTER_MS[repeats] : isKnown ? undefined : TYPING_MS;
  useEffect(() => {
    if (key === "" || pause === undefined) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      void run(key, controller.signal).then((answer) => {
        if (controller.signal.aborted) return;
        setOutcome((before) => ({
          key,
          problem: answer.problem,
          last: answer.last ?? before?.last,
          repeats: repeats + 1,
        }));
      });
    }, pause);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, pause, repeats]);
  const problem = isKnown ? outcome.problem : undefined;
  return { problem, last: outcome?.last, isValid: isKnown && problem === undefined };
}

async function run(key: string, signal: AbortSignal): Promise<Pick<Outcome, "problem" | "last">> {
  try {
    return { problem: undefined, last: await dryRun(JSON.parse(key) as JsonObject, signal) };
  } catch (error) {
    const problem = error instanceof ApiProblem ? error : new ApiProblem({ detail: String(error) });
    return { problem, last: undefined };
  }
}

function isPending(last: DryRun | undefined): boolean {
  return last?.result.estimate.memory.status === "pending";
}
