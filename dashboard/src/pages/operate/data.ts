/** What the page reads. Lists without events of their own are read again after each change here. */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";

import { get } from "@/api/client";
import type { components } from "@/api/generated/schema";

type Schemas = components["schemas"];
export type Key = Schemas["KeyResponse"];
export type NewKey = Schemas["NewKeyResponse"];
export type ListedSession = Schemas["ListedSessionResponse"];
export type Project = Schemas["ProjectResponse"];
export type AuditEntry = Schemas["AuditEntryResponse"];
export type Storage = Schemas["StorageResponse"];

const PAGE = 50;

interface Page {
  next_cursor: string | null;
}

/** Pages are loaded one after another, each from the cursor of the one before. */
const pages = {
  initialPageParam: undefined as string | undefined,
  getNextPageParam: ({ next_cursor: cursor }: Page) => cursor ?? undefined,
};

export const keysQuery = infiniteQueryOptions({
  queryKey: ["keys"],
  queryFn: ({ pageParam: after, signal }) =>
    get("/v1/keys", { params: { query: { limit: PAGE, ...cursor(after) } }, signal }),
  ...pages,
});

export const sessionsQuery = infiniteQueryOptions({
  queryKey: ["sessions"],
  queryFn: ({ pageParam: after, signal }) =>
    get("/v1/sessions", { params: { query: { limit: PAGE, ...cursor(after) } }, signal }),
  ...pages,
});

export const projectsQuery = infiniteQueryOptions({
  queryKey: ["projects"],
  queryFn: ({ pageParam: after, signal }) =>
    get("/v1/projects", { params: { query: { limit: PAGE, ...cursor(after) } }, signal }),
  ...pages,
});

export interface AuditFilters {
  action?: string;
  key?: string;
  since?: string;
}

export function auditQuery(filters: AuditFilters) {
  return infiniteQueryOptions({
    queryKey: ["audit", filters],
    queryFn: ({ pageParam: after, signal }) => {
      const query = { limit: PAGE, ...filters, ...cursor(after) };
      return get("/v1/audit", { params: { query }, signal });
    },
    ...pages,
  });
}

export const storageQuery = queryOptions({
  queryKey: ["storage"],
  queryFn: ({ signal }) => get("/v1/storage", { signal }),
  staleTime: 10 * 60_000, // the service adds up rows for it
});

export const readinessQuery = queryOptions({
  queryKey: ["readiness"],
  queryFn: ({ signal }) => get("/readyz", { signal }),
});

function cursor(after: string | undefined): { after?: string } {
  return after === undefined ? {} : { after };
}
