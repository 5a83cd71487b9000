/** Files with size and hash, and figures as pictures. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import type { Job } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Empty, QueryState } from "@/components/states/QueryState";
import { Section } from "@/components/page/Section";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatBytes } from "@/format/bytes";
import { formatNumber, plural } from "@/format/numbers";

import { artifactsQuery, type Artifact } from "../data";
import styles from "../job.module.css";
import { byImportance, isImportant } from "./order";

const COLUMNS: readonly Column<Artifact>[] = [
  {
    id: "name",
    title: "Name",
    isRowHead: true,
    sortBy: ({ name }) => name,
    cell: ({ name, url }) => (
      <a className={`mono ${styles.clip ?? ""}`} href={url} download title={name}>
        {name}
      </a>
    ),
  },
  {
    id: "kind",
    title: "Kind",
    hide: "phone",
    sortBy: ({ kind }) => kind,
    cell: ({ kind }) => <span className="mid">{kind}</span>,
  },
  {
    id: "size",
    title: "Size",
    kind: "number",
    sortBy: ({ size }) => size,
    cell: ({ size }) => formatBytes(size),
  },
  {
    id: "sha256",
    title: "SHA-256",
    cell: ({ sha256 }) => (
      <span className="mono dim" title={sha256}>
        {sha256.slice(0, 12)}
      </span>
    ),
  },
];

export function Files({ job }: { job: Job }) {
  const artifacts = useQuery(artifactsQuery(job.id));
  const [isAll, setAll] = useState(false);
  const files = artifacts.data?.data ?? [];
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const others = files.filter((file) => !isImportant(file)).length;
  // While a job trains there are only checkpoints.
  const showsAll = isAll || others === files.length;
  const more = others > 0 && others < files.length && (
    <Button kind="link" onClick={() => setAll(!isAll)}>
      {isAll ? "Fewer" : `Figures and checkpoints (${formatNumber(others)})`}
    </Button>
  );
  const note = files.length > 0 ? `${plural(files.length, "file")}, ${formatBytes(bytes)}` : "";
  return (
    <Section title="Files" note={note} more={more} span={8}>
      <QueryState query={artifacts}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty>
              {job.terminal
                ? "No files were written."
                : "No files yet. Checkpoints come while it trains."}
            </Empty>
          ) : (
            <DataTable
              label="Files"
              rows={byImportance(data).filter((file) => showsAll || isImportant(file))}
              columns={COLUMNS}
              rowId={({ name }) => name}
            />
          )
        }
      </QueryState>
    </Section>
  );
}

/** Figures that the job has drawn, as pictures; each opens in its own tab. */
export function Figures({ job }: { job: Job }) {
  const artifacts = useQuery(artifactsQuery(job.id));
  const [isOpen, setOpen] = useState(false);
  const figures = (artifacts.data?.data ?? []).filter(
    ({ kind, media_type: type, name }) =>
      kind === "figure" && type === "image/png" && name !== "adversarial_examples.png",
  );
  if (figures.length === 0) return null;
  const more = (
    <Button kind="link" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
      {isOpen ? "Hide" : "Show"}
    </Button>
  );
  return (
    <Section title="Figures" note={`${plural(figures.length, "figure")} for papers`} more={more}>
      {isOpen && (
        <ul className={styles.figures}>
          {figures.map(({ name, url }) => (
            <li key={name}>
              <a href={url} target="_blank" rel="noreferrer">
                <img src={`${url}?direct=true`} alt={`Figure ${name}`} loading="lazy" />
                <span className="mono small">{name}</span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}
