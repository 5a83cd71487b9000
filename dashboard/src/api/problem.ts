/** Problem documents (RFC 9457) as errors. */

import type { components } from "./generated/schema";

export type Problem = components["schemas"]["Problem"];
export type FieldProblem = components["schemas"]["FieldProblem"];

/** Every failed request throws one of these; `message` is a sentence for people. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  /** Identifies the problem to programs: not_found, conflict, unreachable, … */
  readonly code: string;
  readonly title: string;
  readonly requestId: string | undefined;
  /** One for each field that is wrong. */
  readonly errors: readonly FieldProblem[];

  constructor(problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? "The service answered with an error.");
    this.status = problem.status ?? 0;
    this.code = problem.code ?? "unknown";
    this.title = problem.title ?? "Error";
    this.requestId = problem.request_id;
    this.errors = problem.errors ?? [];
  }
}

/** Returns the error of a response that is no success. Never throws. */
export async function problemOf(response: Response): Promise<ApiProblem> {
  const requestId = response.headers.get("X-Request-Id");
  const fallback: Partial<Problem> = {
    status: response.status,
    detail: `The service answered with status ${response.status}.`,
    ...(requestId === null ? {} : { request_id: requestId }),
  };
  try {
    const document: unknown = await response.json();
    if (typeof document !== "object" || document === null) return new ApiProblem(fallback);
    return new ApiProblem({ ...fallback, ...document });
  } catch {
    return new ApiProblem(fallback);
  }
}

/** Returns the error of a request that got no answer. */
export function unreachable(): ApiProblem {
  return new ApiProblem({
    title: "Unreachable",
    code: "unreachable",
    detail: "The service cannot be reached.",
  });
}

/** Whether an error says that there is no valid session. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof ApiProblem && error.status === 401;
}
