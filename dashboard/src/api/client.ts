/** The one way to the service: typed by its OpenAPI document, same origin, errors as ApiProblem. */

import createClient, { type MaybeOptionalInit, type Middleware } from "openapi-fetch";
import type { PathsWithMethod } from "openapi-typescript-helpers";

import type { paths } from "./generated/schema";
import { problemOf, unreachable } from "./problem";
import { ROOT } from "./root";

const problems: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response);
  },
  onError({ error }) {
    const isAborted = error instanceof DOMException && error.name === "AbortError";
    return isAborted ? error : unreachable();
  },
};

/** The same key for a repeated request: the service carries it out once. */
const idempotency: Middleware = {
  onRequest({ request }) {
    if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
      request.headers.set("Idempotency-Key", randomKey());
    }
  },
};

export const api = createClient<paths>({
  baseUrl: ROOT || globalThis.location.origin,
  credentials: "same-origin",
});
api.use(problems, idempotency);

type GetPath = PathsWithMethod<paths, "get">;
type JsonBody<Path extends GetPath> = paths[Path] extends {
  get: { responses: { 200: { content: { "application/json": infer Body } } } };
}
  ? Body
  : never;

/** Reads JSON: `get("/v1/jobs/{job_id}", { params: { path: { job_id } }, signal })`. */
export async function get<Path extends GetPath>(
  path: Path,
  init: MaybeOptionalInit<paths[Path], "get">,
): Promise<JsonBody<Path>> {
  // The client's own type of the body loses the length of tuples.
  const request = api.GET as (path: string, init: unknown) => Promise<{ data: JsonBody<Path> }>;
  return (await request(path, init)).data;
}

/**
 * Returns the body of a change: `await unwrap(api.POST("/v1/jobs", { body }))`.
 *
 * Throws ApiProblem. A response without a body gives undefined.
 */
export async function unwrap<Body>(request: Promise<{ data?: Body }>): Promise<Body> {
  const { data } = await request;
  return data as Body;
}

/** Not crypto.randomUUID, which exists only in secure contexts. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
