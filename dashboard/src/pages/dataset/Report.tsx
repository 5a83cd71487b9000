/** What the importer found, and how many images each class has. */

import { useMemo } from "react";

import type { Dataset } from "@/api/queries";
import { Meter } from "@/components/marks/Meter";
import { List, Section } from "@/components/page/Section";
import { ImportSection } from "@/components/records/ImportSection";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber, plural } from "@/format/numbers";

import { balance } from "../datasets/sentences";
import styles from "./dataset.module.css";
import { readReport, type ClassCount, type IgnoredFiles } from "./report";

export function Report({ dataset }: { dataset: Dataset }) {
  const { report, problem, import_job_id: job } = dataset;
  if (report === null && problem === null && job === null) return null;
  const read = report === null ? undefined : readReport(report);
  return (
    <ImportSection item={dataset} remarks={read?.remarks ?? []}>
      {read !== undefined && (
        <>
          <p>{read.layout}</p>
          <Ignored total={read.ignoredFiles} reasons={read.ignored} />
        </>
      )}
    </ImportSection>
  );
}

function Ignored({ total, reasons }: { total: number; reasons: readonly IgnoredFiles[] }) {
  if (total === 0) return <p className="small dim">No file was ignored.</p>;
  return (
    <div>
      <h3>{plural(total, "file")} ignored</h3>
      <List>
        {reasons.map(({ reason, files, first }) => (
          <li key={reason}>
            {plural(files, "file")}: {reason}
            {first.length > 0 && (
              <p className={styles.ignored}>
                {first.join(", ")}
                {first.length < files && ", …"}
              </p>
            )}
          </li>
        ))}
      </List>
    </div>
  );
}

export function Classes({ dataset }: { dataset: Dataset }) {
  const { report } = dataset;
  const classes = useMemo(() => (report === null ? [] : readReport(report).classes), [report]);
  const columns = useMemo(() => columnsOf(classes), [classes]);
  if (classes.length === 0) return null;
  const counts = Object.fromEntries(classes.map(({ name, train }) => [name, train]));
  return (
    <Section title="Classes" note={balance(counts)}>
      <DataTable label="Classes" rows={classes} columns={columns} rowId={({ name }) => name} />
    </Section>
  );
}

function columnsOf(classes: readonly ClassCount[]): Column<ClassCount>[] {
  const most = Math.max(1, ...classes.map(({ train }) => train));
  return [
    {
      id: "name",
      title: "Class",
      isRowHead: true,
      cell: ({ name }) => (
        <span className={styles.name} title={name}>
          {name}
        </span>
      ),
    },
    {
      id: "train",
      title: "Training",
      kind: "number",
      sortBy: ({ train }) => train,
      cell: ({ train }) => formatNumber(train),
    },
    {
      id: "test",
      title: "Test",
      kind: "number",
      sortBy: ({ test }) => test,
      cell: ({ test }) => formatNumber(test),
    },
    {
      id: "bar",
      title: "Training, and test below it",
      kind: "whisker",
      cell: ({ name, train, test }) => (
        <div className={styles.bar}>
          <Meter value={train} max={most} label={`${name}: ${train} training images`} />
          <Meter value={test} max={most} label={`${name}: ${test} test images`} tone="calm" />
        </div>
      ),
    },
  ];
}
