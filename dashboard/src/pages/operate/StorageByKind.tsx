import { useQuery } from "@tanstack/react-query";

import { Section } from "@/components/page/Section";
import { Empty, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatBytes, formatGibOf } from "@/format/bytes";
import { formatNumber } from "@/format/numbers";

import { storageQuery, type Storage } from "./data";

interface Row {
  kind: string;
  files: number;
  bytes: number;
}

const KINDS: Record<string, string> = {
  checkpoint: "Checkpoints",
  dataset: "Data sets",
  export: "Exports",
  figure: "Figures",
  log: "Logs",
  model: "Uploaded models",
  report: "Reports",
  thumbnails: "Thumbnails",
  upload: "Uploads, not imported yet",
  weights: "Weights",
};

const COLUMNS: Column<Row>[] = [
  {
    id: "kind",
    title: "Kind",
    isRowHead: true,
    cell: ({ kind }) => KINDS[kind] ?? kind,
    sortBy: ({ kind }) => kind,
  },
  {
    id: "files",
    title: "Files",
    kind: "number",
    cell: ({ files }) => formatNumber(files),
    sortBy: ({ files }) => files,
  },
  {
    id: "bytes",
    title: "Size",
    kind: "number",
    cell: ({ bytes }) => formatBytes(bytes),
    sortBy: ({ bytes }) => bytes,
  },
];

/** What the project stores, and the room that is left. */
export function StorageByKind() {
  const storage = useQuery(storageQuery);
  return (
    <Section
      title="Storage"
      note={storage.data === undefined ? undefined : spaceNote(storage.data)}
    >
      <QueryState query={storage}>
        {(data) => {
          const rows = rowsOf(data);
          if (rows.length === 0) return <Empty>Nothing is stored yet.</Empty>;
          return (
            <DataTable
              label="Files by kind"
              rows={rows}
              columns={COLUMNS}
              rowId={({ kind }) => kind}
            />
          );
        }}
      </QueryState>
    </Section>
  );
}

/** The largest first; what is deleted, which can be restored, last. */
export function rowsOf({ kinds, deleted }: Storage): Row[] {
  const rows = Object.entries(kinds)
    .map(([kind, { files, bytes }]) => ({ kind, files, bytes }))
    .filter(({ files }) => files > 0)
    .sort((a, b) => b.bytes - a.bytes);
  return deleted.files > 0 ? [...rows, { kind: "Deleted, can be restored", ...deleted }] : rows;
}

function spaceNote({ total, free_bytes: free, capacity_bytes: capacity }: Storage): string {
  const used = `${formatBytes(total.bytes)} in this project`;
  return free === null || capacity === null
    ? `${used}.`
    : `${used}. ${formatGibOf(free, capacity)} are free, for all projects.`;
}
