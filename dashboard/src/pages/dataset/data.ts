/** What a data set's page reads. */

import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";

import { api, get } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { LARGEST_PAGE, type Dataset } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { withEtag, type Versioned } from "@/components/records/versioned";

export type VersionedDataset = Versioned<Dataset>;
export type DatasetImage = components["schemas"]["DatasetImageResponse"];

export function datasetQuery(id: string) {
  return queryOptions({
    // Not "dataset": pages that need no ETag cache the bare data set by that.
    queryKey: queryKeys.item("datasets", id, "versioned"),
    queryFn: ({ signal }): Promise<VersionedDataset> =>
      withEtag(
        api.GET("/v1/datasets/{reference}", { params: { path: { reference: id } }, signal }),
      ) as Promise<VersionedDataset>,
  });
}

/** Images class by class; all that there are of one class, a few of each otherwise. */
export function imagesQuery(id: string, className: string, perClass: number) {
  const choice = className === "" ? { per_class: perClass } : { class: className };
  return infiniteQueryOptions({
    queryKey: queryKeys.item("datasets", id, "images", choice),
    queryFn: ({ pageParam, signal }) =>
      get("/v1/datasets/{reference}/images", {
        params: {
          path: { reference: id },
          query: {
            ...choice,
            limit: LARGEST_PAGE,
            ...(pageParam === "" ? {} : { after: pageParam }),
          },
        },
        signal,
      }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
  });
}
