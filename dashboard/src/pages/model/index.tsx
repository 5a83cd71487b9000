/** One model: its card, weights and lineage. */

import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";

import { get } from "@/api/client";
import { queryKeys } from "@/api/query_keys";
import { PageHead } from "@/components/page/PageHead";
import { QueryState } from "@/components/states/QueryState";
import { Id } from "@/components/text/Id";

export default function ModelPage() {
  const { id = "" } = useParams();
  const model = useQuery({
    queryKey: queryKeys.item("models", id),
    queryFn: ({ signal }) =>
      get("/v1/models/{reference}", { params: { path: { reference: id } }, signal }),
  });
  return (
    <QueryState query={model}>
      {(data) => (
        <PageHead
          title={data.name}
          path={[{ label: "Models", to: "/models" }]}
          here={<Id id={data.id} />}
          facts={[{ label: "State", value: data.status.replaceAll("_", " ") }]}
        />
      )}
    </QueryState>
  );
}
