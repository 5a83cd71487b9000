/** What a new job is started from: an example, a line of a paper's table, a job, a model. */

import { queryOptions, useQuery, type UseQueryResult } from "@tanstack/react-query";

import { get } from "@/api/client";
import type { components } from "@/api/generated/schema";
import type { Job, Model } from "@/api/queries";
import { LARGEST_PAGE } from "@/api/queries";
import { jobTitle } from "@/format/names";

import { dryRun } from "../cost/dry_run";
import { jobSchemaQuery } from "../spec/queries";
import { jobSchema, type Schema } from "../spec/schema";
import { isObject, type JsonObject } from "../spec/values";
import { normalized, textOf } from "../yaml/document";
import { evaluationBody } from "./evaluation_body";
import { minimalBody } from "./minimal_body";
import { needsTeacher, withTeacher } from "./teacher";

export type Example = components["schemas"]["ExampleResponse"];

export interface Start {
  kind: "example" | "clone" | "evaluation";
  /** What the answer line calls it: "digits-starship". */
  title: string;
  /** Where more of it is. */
  to?: string;
  /** A sentence on it. */
  description?: string;
  text: string;
  /** The job that is cloned, with every value written out. */
  cloned?: { id: string; spec: JsonObject };
}

/** The first example can be submitted at once, and takes half a minute. */
const FIRST = "digits-teacher";

export const examplesQuery = queryOptions({
  queryKey: ["examples"],
  queryFn: ({ signal }) =>
    get("/v1/examples", { params: { query: { limit: LARGEST_PAGE } }, signal }),
  staleTime: Infinity,
});

/** The start that the address names. It does not change while it is worked on. */
export function useStart(parameters: URLSearchParams): UseQueryResult<Start> {
  const search = parameters.toString();
  return useQuery({
    queryKey: ["start of a job", search],
    queryFn: ({ client, signal }) => {
      const clone = parameters.get("clone");
      if (clone !== null) {
        return client
          .query({ ...jobSchemaQuery, staleTime: "static" })
          .then((schema) => cloneOf(clone, schema));
      }
      const models = parameters.get("evaluate");
      if (models !== null) return evaluationOf(models.split(","), parameters, signal);
      return client
        .query({ ...examplesQuery, staleTime: "static" })
        .then(({ data }) => exampleOf(data, parameters.get("example"), parameters.get("line")))
        .then((start) => taught(start, signal));
    },
    staleTime: Infinity,
    gcTime: 0,
  });
}

/** An example as it is, or one line of its table as a job. */
export function exampleOf(
  examples: readonly Example[],
  name: string | null,
  line: string | null,
): Start {
  const example = examples.find((each) => each.name === (name ?? FIRST)) ?? examples[0];
  if (example === undefined) return { kind: "example", title: "no example", text: "kind: \n" };
  const job = example.jobs.find((each) => each.line === line);
  if (job !== undefined) {
    const title = `${example.title}: ${job.line}`;
    return { kind: "example", title, text: textOf(job.spec as JsonObject) };
  }
  const { title, text } = example;
  return { kind: "example", title, description: describe(example), text: normalized(text) };
}

/** An example that needs a teacher gets one of the project's. */
async function taught(start: Start, signal: AbortSignal): Promise<Start> {
  if (!needsTeacher(start.text)) return start;
  const query = { limit: LARGEST_PAGE };
  const models = await get("/v1/models", { params: { query }, signal });
  return { ...start, text: withTeacher(start.text, models.data) };
}

/** "Table 1: distillation …" without the title, which stands before it. */
export function describe({ title, description }: Example): string {
  const rest = description.replace(`${title}: `, "");
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

async function cloneOf(id: string, schema: Schema): Promise<Start> {
  const job: Job = await get("/v1/jobs/{job_id}", { params: { path: { job_id: id } } });
  const spec = { ...(job.spec as unknown as JsonObject), name: job.name, metadata: job.metadata };
  const kind = jobSchema(schema, job.kind);
  const body = kind === undefined ? spec : await minimalBody(spec, kind, resolved);
  return {
    kind: "clone",
    title: jobTitle(job),
    to: `/jobs/${job.id}`,
    text: textOf(body),
    cloned: { id: job.id, spec },
  };
}

async function resolved(body: JsonObject): Promise<JsonObject | undefined> {
  try {
    const { endpoint, result } = await dryRun(body);
    const spec: unknown = endpoint === "jobs" ? result.spec : undefined;
    return isObject(spec) ? spec : undefined;
  } catch {
    return undefined; // it could not run as it is: an input may be gone
  }
}

async function evaluationOf(
  references: readonly string[],
  parameters: URLSearchParams,
  signal: AbortSignal,
): Promise<Start> {
  const models = await Promise.all(
    references.map((reference) =>
      get("/v1/models/{reference}", { params: { path: { reference } }, signal }),
    ),
  );
  const first: Model | undefined = models[0];
  const source = first?.source_job_id;
  const job =
    source == null
      ? undefined
      : await get("/v1/jobs/{job_id}", { params: { path: { job_id: source } }, signal }).catch(
          () => undefined,
        );
  return {
    kind: "evaluation",
    title: models.length === 1 ? (first?.name ?? "") : `${models.length} models`,
    ...(models.length === 1 && first !== undefined ? { to: `/models/${first.id}` } : {}),
    text: textOf(
      evaluationBody(models, {
        dataset: parameters.get("dataset") ?? job?.dataset ?? undefined,
        radius: parameters.get("radius") ?? undefined,
      }),
    ),
  };
}
