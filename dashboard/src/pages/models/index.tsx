/** Models: which student do I take under this threat model? */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { modelsQuery, type Model } from "@/api/queries";
import { PageHead } from "@/components/page/PageHead";
import { Empty, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

const COLUMNS: Column<Model>[] = [
  {
    id: "name",
    title: "Model",
    isRowHead: true,
    cell: (model) => <Link to={`/models/${model.id}`}>{model.name}</Link>,
  },
  { id: "architecture", title: "Architecture", cell: (model) => model.architecture },
  {
    id: "parameters",
    title: "Parameters",
    kind: "number",
    cell: (model) => (model.parameters === null ? "" : formatNumber(model.parameters)),
    sortBy: (model) => model.parameters ?? undefined,
  },
  {
    id: "created_at",
    title: "Created",
    kind: "number",
    cell: (model) => <Time at={model.created_at} />,
  },
];

export default function ModelsPage() {
  const models = useQuery(modelsQuery());
  return (
    <>
      <PageHead title="Models" />
      <QueryState query={models}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>No models yet. A training publishes its student here.</Empty>
          ) : (
            <DataTable label="Models" rows={data} columns={COLUMNS} rowId={(model) => model.id} />
          )
        }
      </QueryState>
    </>
  );
}
