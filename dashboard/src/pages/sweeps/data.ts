import { infiniteQueryOptions } from "@tanstack/react-query";

import { get } from "@/api/client";
import { LARGEST_PAGE } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";

export const allSweepsQuery = infiniteQueryOptions({
  queryKey: queryKeys.list("sweeps", { view: "all" }),
  queryFn: ({ pageParam, signal }) => {
    const query = { limit: LARGEST_PAGE, ...(pageParam === "" ? {} : { after: pageParam }) };
    return get("/v1/sweeps", { params: { query }, signal });
  },
  initialPageParam: "",
  getNextPageParam: (page) => page.next_cursor ?? undefined,
});
