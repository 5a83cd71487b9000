import { useMemo } from "react";
import { Link } from "react-router";

import type { JobSummary } from "@/api/queries";
import { scaleOf, Whisker, WhiskerScale, type Scale } from "@/components/marks/Whisker";
import { Section } from "@/components/page/Section";
import { ThreatTag } from "@/components/page/ThreatLine";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { jobTitle } from "@/format/names";
import { formatInterval, formatShare, plural } from "@/format/numbers";

import { FINISHED_ROWS, useJobs, useTestImages } from "./data";
import { groupFinished, type FinishedGroup, type FinishedRow } from "./finished";
import styles from "./overview.module.css";

const MOST_GROUPS = 2;

/** The last results, each under its threat model. */
export function Finished({ jobs }: { jobs: readonly JobSummary[] }) {
  const recent = jobs.filter(({ results }) => results !== null).slice(0, FINISHED_ROWS);
  const groups = groupFinished(recent, useJobs(recent), useTestImages());
  if (groups.length === 0) return null;
  return (
    <Section title="Just finished" note="test accuracy, %; 95 % Wilson intervals" span={7}>
      {groups.slice(0, MOST_GROUPS).map((group) => (
        <FinishedTable key={group.key} group={group} />
      ))}
    </Section>
  );
}

function FinishedTable({ group }: { group: FinishedGroup }) {
  const { dataset, images, rows } = group;
  const { threatModel } = group.measure;
  const columns = useMemo(() => columnsOf(group), [group]);
  return (
    <div className={styles.group}>
      <p className={styles.groupTitle}>
        {threatModel !== undefined && <ThreatTag threatModel={threatModel} />}
        <span className="small dim">
          {dataset}
          {images !== undefined && `, ${plural(images, "test image")}`}
        </span>
      </p>
      <DataTable
        label={`Just finished on ${dataset}`}
        rows={rows}
        columns={columns}
        rowId={({ job }) => job.id}
      />
    </div>
  );
}

function columnsOf({ measure, rows }: FinishedGroup): Column<FinishedRow>[] {
  const intervals = rows.flatMap(({ interval }) => (interval === undefined ? [] : [interval]));
  const scale = scaleOf(intervals);
  return [
    {
      id: "job",
      title: "Job",
      isRowHead: true,
      cell: ({ job }) => (
        <Link className={styles.clip} to={`/jobs/${job.id}`} title={jobTitle(job)}>
          {jobTitle(job)}
        </Link>
      ),
    },
    {
      id: "clean",
      title: "Clean",
      kind: "number",
      hide: "phone",
      cell: ({ clean }) => (clean === undefined ? "" : formatShare(clean)),
    },
    robustColumn(measure.label),
    ...(intervals.length === 0 ? [] : [whiskerColumn(scale)]),
    {
      id: "ended",
      title: "Ended",
      kind: "number",
      cell: ({ job: { finished_at: at } }) => at !== null && <Time at={at} />,
    },
  ];
}

/** A phone has no whisker, and so the interval in numbers. */
function robustColumn(title: string): Column<FinishedRow> {
  return {
    id: "robust",
    title,
    kind: "number",
    cell: ({ robust, interval }) => (
      <>
        <span className="strong">{formatShare(robust)}</span>
        {interval !== undefined && (
          <span className="only-phone">
            <span className="sub">{formatInterval(interval)}</span>
          </span>
        )}
      </>
    ),
  };
}

function whiskerColumn(scale: Scale): Column<FinishedRow> {
  return {
    id: "interval",
    title: <WhiskerScale scale={scale} />,
    kind: "whisker",
    hide: "phone",
    cell: ({ robust, interval }) =>
      interval !== undefined && (
        <span title={formatInterval(interval)}>
          <Whisker value={robust} interval={interval} scale={scale} kind="robust" />
        </span>
      ),
  };
}
