/** What a job can be made of: it changes with the service's version only. */

import { queryOptions } from "@tanstack/react-query";

import { get } from "@/api/client";
import { LARGEST_PAGE } from "@/api/queries";

import type { Schema } from "./schema";

export const jobSchemaQuery = queryOptions({
  queryKey: ["schema of jobs"],
  queryFn: async ({ signal }) => (await get("/v1/schemas/job", { signal })) as Schema,
  staleTime: Infinity,
});

export const architecturesQuery = queryOptions({
  queryKey: ["architectures"],
  queryFn: ({ signal }) =>
    get("/v1/architectures", { params: { query: { limit: LARGEST_PAGE } }, signal }),
  staleTime: Infinity,
});
