/** What the page reads: the leaderboard, and all models for those that are in no ranking. */

import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";

import { get } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { LARGEST_PAGE } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";

import { largestFirst } from "./filters";

type Schemas = components["schemas"];
export type Section = Schemas["LeaderboardSection"];
export type Row = Schemas["LeaderboardRow"];

/** Results come from jobs: the leaderboard is out of date when one of them has ended. */
export const LEADERBOARD_KEY = { status: ["succeeded"], view: "leaderboard" };

export const leaderboardQuery = queryOptions({
  queryKey: queryKeys.list("jobs", LEADERBOARD_KEY),
  queryFn: ({ signal }) =>
    get("/v1/leaderboard", { params: { query: { limit: LARGEST_PAGE } }, signal }),
  select: ({ sections }) => ({ sections: largestFirst(sections) }),
  placeholderData: keepPreviousData,
});

export const allModelsQuery = infiniteQueryOptions({
  queryKey: queryKeys.list("models", { view: "all" }),
  queryFn: ({ pageParam, signal }) => {
    const query = { limit: LARGEST_PAGE, ...(pageParam === "" ? {} : { after: pageParam }) };
    return get("/v1/models", { params: { query }, signal });
  },
  initialPageParam: "",
  getNextPageParam: (page) => page.next_cursor ?? undefined,
});
