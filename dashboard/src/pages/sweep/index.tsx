/** One sweep: which setting mattered, and what is missing? */

import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";

import { get } from "@/api/client";
import { queryKeys } from "@/api/query_keys";
import { PageHead } from "@/components/page/PageHead";
import { QueryState } from "@/components/states/QueryState";
import { Id } from "@/components/text/Id";
import { shortId } from "@/format/names";
import { plural } from "@/format/numbers";

export default function SweepPage() {
  const { id = "" } = useParams();
  const sweep = useQuery({
    queryKey: queryKeys.item("sweeps", id),
    queryFn: ({ signal }) =>
      get("/v1/sweeps/{sweep_id}", { params: { path: { sweep_id: id } }, signal }),
  });
  return (
    <QueryState query={sweep}>
      {(data) => (
        <PageHead
          title={data.name ?? `sweep ${shortId(data.id)}`}
          path={[{ label: "Sweeps", to: "/sweeps" }]}
          here={<Id id={data.id} />}
          answer={<strong>{plural(data.size, "job")}.</strong>}
        />
      )}
    </QueryState>
  );
}
