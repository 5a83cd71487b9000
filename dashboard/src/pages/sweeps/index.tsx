/** Sweeps: jobs submitted together, and the table of their results. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { sweepsQuery, type Sweep } from "@/api/queries";
import { PageHead } from "@/components/page/PageHead";
import { Empty, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { shortId } from "@/format/names";
import { formatNumber } from "@/format/numbers";

const COLUMNS: Column<Sweep>[] = [
  {
    id: "name",
    title: "Name",
    isRowHead: true,
    cell: (sweep) => (
      <Link to={`/sweeps/${sweep.id}`}>{sweep.name ?? `sweep ${shortId(sweep.id)}`}</Link>
    ),
  },
  { id: "size", title: "Jobs", kind: "number", cell: (sweep) => formatNumber(sweep.size) },
  {
    id: "created_at",
    title: "Created",
    kind: "number",
    cell: (sweep) => <Time at={sweep.created_at} />,
  },
];

export default function SweepsPage() {
  const sweeps = useQuery(sweepsQuery());
  return (
    <>
      <PageHead title="Sweeps" />
      <QueryState query={sweeps}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>No sweeps yet. A sweep is one submission of many jobs.</Empty>
          ) : (
            <DataTable label="Sweeps" rows={data} columns={COLUMNS} rowId={(sweep) => sweep.id} />
          )
        }
      </QueryState>
    </>
  );
}
