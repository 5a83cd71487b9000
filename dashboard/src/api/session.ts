/** Who is signed in. The key itself is never stored in the browser. */

import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, get, unwrap } from "./client";
import type { components } from "./generated/schema";
import { queryKeys } from "./query_keys";

export type Session = components["schemas"]["SessionResponse"];
export type Scope = Session["scopes"][number];
/** An API key, or the one-time token of a sign-in address. */
export type Credential = components["schemas"]["CreateSessionRequest"];

export function sessionQuery() {
  return queryOptions({
    queryKey: queryKeys.session(),
    queryFn: ({ signal }) => get("/v1/session", { signal }),
    staleTime: Infinity,
  });
}

/** How a person can sign in to this installation. */
export function signInMethodsQuery() {
  return queryOptions({
    queryKey: ["sign-in methods"],
    queryFn: ({ signal }) => get("/v1/session/methods", { signal }),
    staleTime: Infinity,
  });
}

/** The session of a signed-in page. */
export function useSession(): Session | undefined {
  return useQuery(sessionQuery()).data;
}

/** Whether the signed-in key may do what needs this scope. */
export function useScope(scope: Scope): boolean {
  return useSession()?.scopes.includes(scope) ?? false;
}

/** Exchanges a credential for a session cookie. Throws ApiProblem. */
export function signIn(credential: Credential): Promise<Session> {
  return unwrap(api.POST("/v1/session", { body: credential }));
}

export async function signOut(): Promise<void> {
  await unwrap(api.DELETE("/v1/session"));
}
