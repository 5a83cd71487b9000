import { useMemo, type ComponentType } from "react";
import { Link } from "react-router";

import type { JobSummary, Worker } from "@/api/queries";
import { StatusMark } from "@/components/marks/Status";
import { Section } from "@/components/page/Section";
import { Empty } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Age } from "@/components/text/Time";
import { jobTitle } from "@/format/names";

import { Device, Load, Memory, Temperature } from "./hardware";

interface WorkersProps {
  workers: readonly Worker[];
  running: readonly JobSummary[];
}

export function Workers({ workers, running }: WorkersProps) {
  const columns = useMemo(() => columnsWith(running), [running]);
  return (
    <Section title="Workers">
      {workers.length === 0 ? (
        <Empty>
          No worker has been seen in the last day. Start one with{" "}
          <span className="mono">python -m worker</span>.
        </Empty>
      ) : (
        <DataTable label="Workers" rows={workers} columns={columns} rowId={nameOf} tall />
      )}
    </Section>
  );
}

function nameOf({ name }: Worker): string {
  return name;
}

function columnsWith(running: readonly JobSummary[]): Column<Worker>[] {
  return [
    {
      id: "name",
      title: "Worker",
      isRowHead: true,
      cell: ({ name }) => <span className="mono">{name}</span>,
    },
    { id: "state", title: "State", cell: (worker) => <WorkerState worker={worker} /> },
    hardwareColumn("device", "Device", Device),
    hardwareColumn("load", "Load", Load),
    hardwareColumn("memory", "Memory", Memory),
    { ...hardwareColumn("temperature", "Temperature", Temperature), kind: "number" },
    {
      id: "jobs",
      title: "Job",
      cell: ({ name }) =>
        running
          .filter(({ worker }) => worker === name)
          .map((job) => (
            <div key={job.id}>
              <Link to={`/jobs/${job.id}`}>{jobTitle(job)}</Link>
            </div>
          )),
    },
    {
      id: "seen",
      title: "Seen",
      kind: "number",
      hide: "phone",
      cell: (worker) => <Age at={worker.seen_at} />,
    },
  ];
}

function hardwareColumn(
  id: string,
  title: string,
  Cell: ComponentType<{ hardware: NonNullable<Worker["hardware"]> }>,
): Column<Worker> {
  return {
    id,
    title,
    ...(id === "device" ? {} : { hide: "phone" }),
    cell: ({ hardware, alive }) => alive && hardware != null && <Cell hardware={hardware} />,
  };
}

export function WorkerState({ worker }: { worker: Worker }) {
  if (!worker.alive) {
    return (
      <StatusMark icon="failed" tone="bad">
        Lost
      </StatusMark>
    );
  }
  if (worker.trouble !== null) {
    return (
      <>
        <StatusMark icon="warning" tone="warn">
          Trouble
        </StatusMark>
        <span className="sub">{worker.trouble}</span>
      </>
    );
  }
  if (worker.draining) {
    return (
      <StatusMark icon="paused" tone="warn">
        Draining
      </StatusMark>
    );
  }
  return worker.running > 0 ? (
    <StatusMark icon="running" tone="run">
      Busy
    </StatusMark>
  ) : (
    <StatusMark icon="idle" tone="neutral">
      Idle
    </StatusMark>
  );
}
