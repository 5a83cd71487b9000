/** What can be downloaded, with its hash, and how it is loaded. */

import { useQuery } from "@tanstack/react-query";

import type { Model } from "@/api/queries";
import { ROOT } from "@/api/root";
import { Section } from "@/components/page/Section";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Code } from "@/components/records/Code";
import records from "@/components/records/records.module.css";
import { formatBytes } from "@/format/bytes";

import { filesQuery, type Artifact } from "./data";
import { loadingCode, ONNX_CODE } from "./sentences";

interface FileRow {
  name: string;
  what: string;
  href: string;
  size: number | null;
  sha256: string | null;
}

const WHAT: Partial<Record<Artifact["kind"], string>> = {
  weights: "other weights of the training job",
  export: "export, runs without this program",
  report: "report",
};

export function contentHref({ id }: Model): string {
  return `${ROOT}/v1/models/${encodeURIComponent(id)}/content`;
}

export function Files({ model }: { model: Model }) {
  const source = model.source_job_id;
  const files = useQuery({ ...filesQuery(source ?? ""), enabled: source !== null });
  const exports = (files.data?.data ?? []).filter(
    ({ kind, sha256 }) => WHAT[kind] !== undefined && sha256 !== model.sha256,
  );
  const rows: FileRow[] = [
    {
      name: `${model.name}.safetensors`,
      what: "weights",
      href: contentHref(model),
      size: model.size,
      sha256: model.sha256,
    },
    ...exports.map(({ name, kind, url, size, sha256 }) => ({
      name,
      what: name === "MODEL_CARD.md" ? "model card" : (WHAT[kind] ?? kind),
      href: url,
      size,
      sha256,
    })),
  ];
  const hasOnnx = exports.some(({ name }) => name === "student.onnx");
  return (
    <>
      <Section title="Files" note="SHA-256; the download's ETag is the same">
        <DataTable label="Files" rows={rows} columns={COLUMNS} rowId={({ href }) => href} />
      </Section>
      <Section title="Load it" note="Python, with this program installed">
        <Code label="Code that loads the weights" text={loadingCode(model)} />
        {hasOnnx && (
          <>
            <p className="small dim">Without this program:</p>
            <Code label="Code that runs the export" text={ONNX_CODE} />
          </>
        )}
      </Section>
    </>
  );
}

const COLUMNS: Column<FileRow>[] = [
  {
    id: "name",
    title: "File",
    isRowHead: true,
    cell: ({ name, href }) => (
      <a className={`mono ${records.break ?? ""}`} href={href} download>
        {name}
      </a>
    ),
  },
  { id: "what", title: "What", hide: "phone", cell: ({ what }) => what },
  {
    id: "size",
    title: "Size",
    kind: "number",
    cell: ({ size }) => (size === null ? "" : formatBytes(size)),
  },
  {
    id: "sha256",
    title: "SHA-256",
    kind: "number",
    hide: "phone",
    cell: ({ sha256 }) => <Hash sha256={sha256} />,
  },
];

function Hash({ sha256 }: { sha256: string | null }) {
  if (sha256 === null) return null;
  return (
    <span className="mono dim" title={sha256}>
      {sha256.slice(0, 16)}…<span className="vh">{sha256}</span>
    </span>
  );
}
