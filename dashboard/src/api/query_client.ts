/** Defaults of all queries. Nothing polls: the stream of events says what is out of date. */

import { QueryCache, QueryClient } from "@tanstack/react-query";

import { queryKeys } from "./query_keys";
import { ApiProblem, isSignedOut } from "./problem";

const STALE_AFTER_MS = 60_000;
const UNUSED_FOR_MS = 5 * 60_000;
const MAX_RETRIES = 2;

export function makeQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError: (error, query) => {
        const isSession = query.queryKey[0] === queryKeys.session()[0];
        if (isSignedOut(error) && !isSession) {
          // The session has ended: asking for it again leads to the sign-in page.
          void client.invalidateQueries({ queryKey: queryKeys.session() });
        }
      },
    }),
    defaultOptions: {
      queries: {
        // A service on this machine can be reached without a network.
        networkMode: "always",
        staleTime: STALE_AFTER_MS,
        gcTime: UNUSED_FOR_MS,
        refetchOnWindowFocus: false,
        retry: (failures, error) => isTransient(error) && failures < MAX_RETRIES,
      },
      mutations: { networkMode: "always" },
    },
  });
  return client;
}

/** Whether the same request may succeed a moment later. */
function isTransient(error: unknown): boolean {
  return error instanceof ApiProblem && (error.status === 0 || error.status >= 500);
}
