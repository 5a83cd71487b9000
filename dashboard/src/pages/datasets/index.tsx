/** Data sets: what the importer made of them. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { datasetsQuery, type Dataset } from "@/api/queries";
import { PageHead } from "@/components/page/PageHead";
import { QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber } from "@/format/numbers";

const COLUMNS: Column<Dataset>[] = [
  {
    id: "name",
    title: "Name",
    isRowHead: true,
    cell: (dataset) => <Link to={`/datasets/${dataset.id}`}>{dataset.name}</Link>,
  },
  { id: "status", title: "State", cell: (dataset) => dataset.status.replaceAll("_", " ") },
  {
    id: "classes",
    title: "Classes",
    kind: "number",
    cell: ({ description }) => (description === null ? "" : formatNumber(description.classes)),
  },
  {
    id: "train_images",
    title: "Training images",
    kind: "number",
    cell: ({ description }) => (description === null ? "" : formatNumber(description.train_images)),
  },
  {
    id: "test_images",
    title: "Test images",
    kind: "number",
    cell: ({ description }) => (description === null ? "" : formatNumber(description.test_images)),
  },
];

export default function DatasetsPage() {
  const datasets = useQuery(datasetsQuery());
  return (
    <>
      <PageHead title="Data sets" />
      <QueryState query={datasets}>
        {({ data }) => (
          <DataTable label="Data sets" rows={data} columns={COLUMNS} rowId={(item) => item.id} />
        )}
      </QueryState>
    </>
  );
}
