/** Results with whiskers: best epoch, last epoch, teacher. A table for each threat model. */

import type { Job, Model } from "@/api/queries";
import { scaleOf, Whisker, WhiskerScale, type Scale } from "@/components/marks/Whisker";
import { Note, Section } from "@/components/page/Section";
import { ThreatTag } from "@/components/page/ThreatLine";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatInterval, formatShare, plural } from "@/format/numbers";
import { threatModelTitle, type ThreatModel } from "@/format/threat_model";

import type { Report } from "../data";
import styles from "../job.module.css";
import { resultTables, type Accuracy, type ResultRow, type ResultTable } from "./rows";
import { stagesSentence } from "./stages";

interface ResultsProps {
  job: Job;
  report: Report | undefined;
  teacher: Model | undefined;
  threatModel: ThreatModel | undefined;
}

export function Results({ job, report, teacher, threatModel }: ResultsProps) {
  const tables = resultTables({ job, teacher, threatModel });
  if (tables.length === 0) return null;
  const images = imagesOf(tables);
  const count = images === undefined ? "" : ` · ${plural(images, "image")}`;
  const soFar = job.terminal ? "" : " · so far";
  return (
    <Section
      title="Results"
      note={`test accuracy, % · 95 % interval (Wilson) below${count}${soFar}`}
    >
      {tables.map((table, index) => (
        <div key={index} className={index > 0 ? styles.part : undefined}>
          {index > 0 && table.threatModel !== undefined && (
            <h3 className={styles.tagged}>
              <ThreatTag threatModel={table.threatModel} /> Another threat model
            </h3>
          )}
          <ResultTableView job={job} table={table} />
        </div>
      ))}
      <Note>{footnote(job, report)}</Note>
    </Section>
  );
}

function ResultTableView({ job, table }: { job: Job; table: ResultTable }) {
  const { rows, threatModel } = table;
  const pairs = rows.flatMap(({ main, last }) => {
    const interval = (main ?? last)?.interval;
    return interval === undefined ? [] : [interval];
  });
  const scale = pairs.length === 0 ? undefined : scaleOf(pairs);
  const label = threatModel === undefined ? "Results" : `Results, ${threatModelTitle(threatModel)}`;
  return (
    <DataTable
      label={label}
      rows={rows}
      columns={columnsOf(job, rows, scale)}
      rowId={({ key }) => key}
      tall
    />
  );
}

function columnsOf(
  job: Job,
  rows: readonly ResultRow[],
  scale: Scale | undefined,
): Column<ResultRow>[] {
  const isEvaluation = job.kind === "evaluation";
  const hasTeacher = rows.some(({ teacher }) => teacher !== undefined);
  return [
    { id: "attack", title: "Attack", isRowHead: true, cell: (row) => <AttackName row={row} /> },
    {
      id: "main",
      title: isEvaluation ? "Model" : "Best epoch",
      kind: "number",
      cell: ({ main, isDeciding }) => <Value accuracy={main} isStrong={isDeciding} />,
    },
    ...(scale === undefined ? [] : [whiskerColumn(scale)]),
    ...(isEvaluation ? [] : [LAST]),
    ...(hasTeacher ? [TEACHER] : []),
  ];
}

const LAST: Column<ResultRow> = {
  id: "last",
  title: "Last epoch",
  kind: "number",
  cell: ({ last }) => <Value accuracy={last} />,
};
const TEACHER: Column<ResultRow> = {
  id: "teacher",
  title: "Teacher",
  kind: "number",
  cell: ({ teacher }) => <Value accuracy={teacher} />,
};

function whiskerColumn(scale: Scale): Column<ResultRow> {
  return {
    id: "whisker",
    title: <WhiskerScale scale={scale} />,
    kind: "whisker",
    hide: "phone",
    cell: (row) => <RowWhisker row={row} scale={scale} />,
  };
}

function AttackName({ row }: { row: ResultRow }) {
  return (
    <>
      <span className={row.isDeciding ? "strong" : undefined}>{row.label}</span>
      {row.detail !== undefined && <span className="sub">{row.detail}</span>}
    </>
  );
}

function Value({
  accuracy,
  isStrong = false,
}: {
  accuracy: Accuracy | undefined;
  isStrong?: boolean;
}) {
  if (accuracy === undefined) return null;
  return (
    <>
      <span className={isStrong ? "strong" : undefined}>{formatShare(accuracy.value)}</span>
      {accuracy.interval !== undefined && (
        <span className="sub">{formatInterval(accuracy.interval)}</span>
      )}
    </>
  );
}

function RowWhisker({ row, scale }: { row: ResultRow; scale: Scale }) {
  const accuracy = row.main ?? row.last;
  if (accuracy?.interval === undefined) return null;
  const { value, interval } = accuracy;
  const kind = row.isClean ? "clean" : "robust";
  return <Whisker value={value} interval={interval} scale={scale} kind={kind} />;
}

function imagesOf(tables: readonly ResultTable[]): number | undefined {
  const counts = tables.flatMap(({ rows }) => rows.flatMap(({ main }) => main?.images ?? []));
  return new Set(counts).size === 1 ? counts[0] : undefined;
}

/** How the best epoch was chosen, what AutoAttack's stages left, what the marks are. */
function footnote(job: Job, report: Report | undefined): string {
  const selection = report?.selection?.replace(/; last: the last epoch$/, "");
  const best = selection == null ? "" : `B${selection.slice(1)}. `;
  const stages = stagesSentence(report, job.kind === "evaluation" ? "model" : "best");
  return `${best}${stages}The hollow mark is clean accuracy.`;
}
