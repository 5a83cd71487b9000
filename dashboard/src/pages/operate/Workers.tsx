/** All workers of the installation, and whether they may claim jobs. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ComponentType } from "react";

import { api, unwrap } from "@/api/client";
import { workersQuery, type Worker } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { Button } from "@/components/controls/Button";
import { Section } from "@/components/page/Section";
import { Empty, Failure, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Age } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";
import { Device, Load, Memory, Temperature } from "@/pages/overview/hardware";
import { WorkerState } from "@/pages/overview/Workers";

type Change = (worker: Worker) => void;

export function Workers() {
  const workers = useQuery(workersQuery());
  const client = useQueryClient();
  const change = useMutation({
    mutationFn: ({ name, draining }: Worker) => {
      const init = { params: { path: { worker: name } } };
      const request = draining
        ? api.POST("/v1/workers/{worker}/undrain", init)
        : api.POST("/v1/workers/{worker}/drain", init);
      return unwrap(request);
    },
    onSuccess: () => client.invalidateQueries({ queryKey: queryKeys.list("workers") }),
  });
  const columns = columnsWith((worker) => change.mutate(worker));
  return (
    <Section title="Workers" note="A drained worker finishes its jobs and claims no more.">
      {change.error !== null && <Failure error={change.error} />}
      <QueryState query={workers}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>
              No worker has been seen in the last day. Start one with{" "}
              <span className="mono">python -m worker</span>.
            </Empty>
          ) : (
            <DataTable
              label="List of workers"
              rows={data}
              columns={columns}
              rowId={({ name }) => name}
              tall
            />
          )
        }
      </QueryState>
    </Section>
  );
}

function columnsWith(change: Change): Column<Worker>[] {
  return [
    {
      id: "name",
      title: "Worker",
      isRowHead: true,
      cell: ({ name, version }) => (
        <>
          <span className="mono">{name}</span>
          <span className="sub">{version}</span>
        </>
      ),
      sortBy: ({ name }) => name,
    },
    { id: "state", title: "State", cell: (worker) => <WorkerState worker={worker} /> },
    {
      id: "slots",
      title: "Jobs",
      kind: "number",
      cell: ({ running, slots }) => `${formatNumber(running)} of ${formatNumber(slots)}`,
      sortBy: ({ running }) => running,
    },
    ...HARDWARE,
    {
      id: "seen",
      title: "Seen",
      kind: "number",
      hide: "phone",
      cell: ({ seen_at: at }) => <Age at={at} />,
      sortBy: ({ seen_at: at }) => at,
    },
    {
      id: "drain",
      title: <span className="vh">Action</span>,
      kind: "number",
      cell: (worker) => <DrainButton worker={worker} change={change} />,
    },
  ];
}

const HARDWARE: Column<Worker>[] = [
  { id: "device", title: "Device", cell: withHardware(Device) },
  { id: "load", title: "Load", hide: "phone", cell: withHardware(Load) },
  { id: "memory", title: "Memory", hide: "phone", cell: withHardware(Memory) },
  {
    id: "temperature",
    title: "Temperature",
    kind: "number",
    hide: "medium",
    cell: withHardware(Temperature),
  },
];

type HardwareCell = ComponentType<{ hardware: NonNullable<Worker["hardware"]> }>;

function withHardware(Cell: HardwareCell): Column<Worker>["cell"] {
  return function Cells({ hardware, alive }) {
    return alive && hardware != null && <Cell hardware={hardware} />;
  };
}

function DrainButton({ worker, change }: { worker: Worker; change: Change }) {
  if (!worker.alive) return null;
  const verb = worker.draining ? "Undrain" : "Drain";
  return (
    <Button onClick={() => change(worker)} aria-label={`${verb} ${worker.name}`}>
      {verb}
    </Button>
  );
}
