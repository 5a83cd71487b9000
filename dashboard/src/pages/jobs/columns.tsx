/** The table's columns: those that can be chosen, and how their cells look. */

import { Link } from "react-router";

import type { JobSummary } from "@/api/queries";
import { Status } from "@/components/marks/Status";
import type { Column } from "@/components/table/columns";
import { Id } from "@/components/text/Id";
import { Duration, Time } from "@/components/text/Time";
import type { Measure } from "@/format/measures";
import { jobTitle, kindTitle, methodTitle } from "@/format/names";
import { formatInterval, formatPercent, formatShare, plural } from "@/format/numbers";

import type { Accuracies } from "./data";
import { HeldOutSpark } from "./HeldOutSpark";
import styles from "./jobs.module.css";
import { accuracyOf, scopeTitle, usualMeasures, type Scope } from "./measures";

type JobColumn = Column<JobSummary>;

const BEFORE_RESULTS: readonly JobColumn[] = [
  { id: "status", title: "Status", stack: "state", cell: (job) => <StatusCell job={job} /> },
  { id: "method", title: "Method", cell: methodText },
  { id: "student", title: "Student", cell: ({ student }) => student },
  { id: "dataset", title: "Data", cell: ({ dataset }) => clipped(dataset) },
  { id: "sweep_line", title: "Sweep line", cell: ({ sweep_line: line }) => clipped(line) },
  { id: "held_out", title: "Held-out robust", cell: (job) => <HeldOutSpark job={job} /> },
];
const AFTER_RESULTS: readonly JobColumn[] = [
  {
    id: "ran",
    title: "Ran for",
    kind: "number",
    hide: "medium",
    cell: (job) => <span className="mid">{ranFor(job)}</span>,
  },
  { id: "worker", title: "Worker", cell: ({ worker }) => clipped(worker) },
  { id: "attempt", title: "Attempt", kind: "number", cell: ({ attempt }) => attempt },
  { id: "id", title: "Id", cell: ({ id }) => <Id id={id} /> },
  {
    id: "created_at",
    title: "Created",
    kind: "number",
    stack: "when",
    sortBy: ({ created_at: at }) => at,
    cell: ({ created_at: at }) => (
      <span className="dim">
        <Time at={at} />
      </span>
    ),
  },
];
const USUAL = ["status", "method", "held_out", "ran", "created_at"];
const METADATA = "metadata.";

export interface Choice {
  id: string;
  title: string;
}

/** Every column that the dialog offers, in the table's order. */
export function choices(rows: readonly JobSummary[], accuracies: Accuracies): Choice[] {
  const { measures, scope } = accuracies;
  const keys = new Set(rows.flatMap(({ metadata }) => Object.keys(metadata)));
  return [
    ...BEFORE_RESULTS.map(toChoice),
    ...[...keys].sort().map((key) => ({ id: METADATA + key, title: `Metadata: ${key}` })),
    ...measures.map(({ key, label }) => ({
      id: key,
      title: scope === undefined ? label : `${label}, ${scopeTitle(scope)}`,
    })),
    ...AFTER_RESULTS.map(toChoice),
  ];
}

function toChoice({ id, title }: JobColumn): Choice {
  return { id, title: typeof title === "string" ? title : id };
}

/** Ids of the columns that are shown: the chosen ones, else the usual ones. */
export function shownIds(columns: readonly string[] | undefined, accuracies: Accuracies): string[] {
  if (columns !== undefined) return [...columns];
  return [...USUAL, ...usualMeasures(accuracies.measures).map(({ key }) => key)];
}

export function columnsOf(
  ids: readonly string[],
  rows: readonly JobSummary[],
  accuracies: Accuracies,
): JobColumn[] {
  const byId = new Map([...BEFORE_RESULTS, ...AFTER_RESULTS].map((column) => [column.id, column]));
  const { scope } = accuracies;
  const resultColumns = accuracies.measures.map((measure) =>
    resultColumn(measure, scope, measure.key === accuracies.deciding?.key),
  );
  for (const column of resultColumns) byId.set(column.id, column);
  const order = choices(rows, accuracies).map(({ id }) => id);
  const chosen = new Set(ids);
  const columns = order.filter((id) => chosen.has(id)).map((id) => byId.get(id) ?? metadata(id));
  return [NAME, ...columns];
}

const NAME: JobColumn = {
  id: "name",
  title: "Name",
  isRowHead: true,
  stack: "name",
  cell: (job) => (
    <Link className={`quiet ${styles.name ?? ""}`} to={`/jobs/${job.id}`} title={jobTitle(job)}>
      <bdi>{jobTitle(job)}</bdi>
    </Link>
  ),
};

function metadata(id: string): JobColumn {
  const key = id.slice(METADATA.length);
  return { id, title: key, cell: (job) => clipped(job.metadata[key] ?? null) };
}

function resultColumn(measure: Measure, scope: Scope | undefined, isDeciding: boolean): JobColumn {
  const group = scope === undefined ? "" : `Test accuracy, % · ${scopeTitle(scope)} · best epoch`;
  return {
    id: measure.key,
    title: measure.label,
    kind: "number",
    group,
    sortBy: () => undefined, // the service sorts
    ...(isDeciding ? { stack: "deciding" as const } : {}),
    ...(isDeciding || measure.name === "clean" ? {} : { hide: "medium" as const }),
    cell: (job) =>
      scope !== undefined && (
        <ResultCell job={job} measure={measure} scope={scope} isDeciding={isDeciding} />
      ),
  };
}

interface ResultCellProps {
  job: JobSummary;
  measure: Measure;
  scope: Scope;
  isDeciding: boolean;
}

function ResultCell({ job, measure, scope, isDeciding }: ResultCellProps) {
  const accuracy = accuracyOf(job, measure.key, scope);
  if (accuracy === undefined) return null;
  const { value, low, high, images } = accuracy;
  const hasInterval = low !== undefined && high !== undefined;
  const title = hasInterval
    ? `95 % interval ${formatInterval([low, high])}, ${plural(images ?? 0, "test image")}`
    : undefined;
  if (!isDeciding) return <span title={title}>{formatShare(value)}</span>;
  return (
    <span title={title}>
      <span className={styles.phoneLabel}>{measure.label} </span>
      {hasInterval && <span className={styles.interval}>{formatInterval([low, high])}</span>}
      <span className="strong">{formatShare(value)}</span>
    </span>
  );
}

function StatusCell({ job }: { job: JobSummary }) {
  const { status, progress } = job;
  const step = progress?.step ?? 0;
  const of = progress?.of ?? 0;
  return (
    <span className={styles.status}>
      <Status status={status} />
      {status === "running" && job.phase === "training" && of > 0 && (
        <span className="dim"> {formatPercent(Math.min(1, step / of), 0)}</span>
      )}
      {status === "running" && job.phase !== null && job.phase !== "training" && (
        <span className="dim"> {job.phase}</span>
      )}
    </span>
  );
}

function methodText({ method, kind }: JobSummary) {
  return method === null ? kindTitle(kind) : methodTitle(method);
}

function ranFor({ started_at: start, finished_at: end, status }: JobSummary) {
  const runs = status === "running" || status === "pausing" || status === "cancelling";
  if (start === null || (end === null && !runs)) return null;
  return <Duration from={start} to={end} />;
}

function clipped(text: string | null) {
  return (
    text !== null && (
      <span className={styles.clip} title={text}>
        <bdi>{text}</bdi>
      </span>
    )
  );
}
