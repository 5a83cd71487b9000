/** One data set: what its import has made of it. */

import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";

import { get } from "@/api/client";
import { queryKeys } from "@/api/query_keys";
import { PageHead } from "@/components/page/PageHead";
import { QueryState } from "@/components/states/QueryState";
import { Id } from "@/components/text/Id";

export default function DatasetPage() {
  const { id = "" } = useParams();
  const dataset = useQuery({
    queryKey: queryKeys.item("datasets", id),
    queryFn: ({ signal }) =>
      get("/v1/datasets/{reference}", { params: { path: { reference: id } }, signal }),
  });
  return (
    <QueryState query={dataset}>
      {(data) => (
        <PageHead
          title={data.name}
          path={[{ label: "Data sets", to: "/datasets" }]}
          here={<Id id={data.id} />}
          facts={[{ label: "State", value: data.status.replaceAll("_", " ") }]}
        />
      )}
    </QueryState>
  );
}
