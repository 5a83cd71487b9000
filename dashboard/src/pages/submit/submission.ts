/** Submits what the page shows. */

import { api, unwrap } from "@/api/client";
import type { components } from "@/api/generated/schema";

import { clonePatch } from "./spec/merge_patch";
import type { JsonObject } from "./spec/values";
import type { Start } from "./start/start";
import { isSweep } from "./yaml/document";

type Schemas = components["schemas"];

/** Returns the address of the new job's or sweep's page. Throws ApiProblem. */
export async function submitBody(body: JsonObject, start: Start): Promise<string> {
  if (isSweep(body)) {
    const sweep = body as unknown as Schemas["SweepSpec"];
    const created = await unwrap(api.POST("/v1/sweeps", { body: sweep }));
    return `/sweeps/${(created as Schemas["SweepResponse"]).id}`;
  }
  const { cloned } = start;
  if (cloned !== undefined && cloned.spec.kind === body.kind) {
    // So that the new job knows what it was cloned from.
    const changes = clonePatch(cloned.spec, body);
    const path = { job_id: cloned.id };
    const request = api.POST("/v1/jobs/{job_id}/clone", { params: { path }, body: changes });
    return `/jobs/${(await unwrap(request)).id}`;
  }
  const spec = body as unknown as Schemas["EvaluationJobSpec"];
  const created = await unwrap(api.POST("/v1/jobs", { body: spec }));
  return `/jobs/${(created as Schemas["JobResponse"]).id}`;
}
