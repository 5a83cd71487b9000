/** Operate: workers, keys, projects, webhooks, audit log and storage, by scope. */

import { useQuery } from "@tanstack/react-query";

import { workersQuery, type Worker } from "@/api/queries";
import { PageHead } from "@/components/page/PageHead";
import { Section } from "@/components/page/Section";
import { QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Age } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

const COLUMNS: Column<Worker>[] = [
  { id: "name", title: "Worker", isRowHead: true, cell: (worker) => worker.name },
  { id: "version", title: "Version", cell: (worker) => worker.version },
  { id: "slots", title: "Slots", kind: "number", cell: (worker) => formatNumber(worker.slots) },
  { id: "seen", title: "Seen", kind: "number", cell: (worker) => <Age at={worker.seen_at} /> },
];

export default function OperatePage() {
  const workers = useQuery(workersQuery());
  return (
    <>
      <PageHead title="Operate" />
      <Section title="Workers">
        <QueryState query={workers}>
          {({ data }) => (
            <DataTable label="Workers" rows={data} columns={COLUMNS} rowId={({ name }) => name} />
          )}
        </QueryState>
      </Section>
    </>
  );
}
