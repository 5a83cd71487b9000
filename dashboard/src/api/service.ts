/** What this installation is and allows: it changes only with a restart of the service. */

import { queryOptions, useQuery } from "@tanstack/react-query";

import { get } from "./client";
import type { components } from "./generated/schema";

export type Service = components["schemas"]["ServiceResponse"];

const serviceQuery = queryOptions({
  queryKey: ["service"],
  queryFn: ({ signal }) => get("/v1/service", { signal }),
  staleTime: Infinity,
});

/** Undefined until it is known. */
export function useService(): Service | undefined {
  return useQuery(serviceQuery).data;
}
