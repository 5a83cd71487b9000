/** Accuracies with their intervals, a table for each threat model. */

import { useMemo } from "react";
import { Link } from "react-router";

import type { Model } from "@/api/queries";
import { LinkButton } from "@/components/controls/Button";
import { scaleOf, Whisker, WhiskerScale, type Scale } from "@/components/marks/Whisker";
import { Section } from "@/components/page/Section";
import { ThreatLine } from "@/components/page/ThreatLine";
import { Empty } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Id } from "@/components/text/Id";
import { formatInterval, formatNumber, formatShare } from "@/format/numbers";
import type { Interval } from "@/format/statistics";

import { groupResults, type ResultGroup, type ResultRow } from "./results";

interface ResultsProps {
  model: Model;
  /** Names of data sets, by id. */
  datasets: ReadonlyMap<string, string>;
}

export function Results({ model, datasets }: ResultsProps) {
  const groups = useMemo(() => groupResults(model), [model]);
  if (groups.length === 0) {
    const measure = <LinkButton to={`/submit?evaluate=${model.id}`}>Measure it</LinkButton>;
    return (
      <Section title="Results">
        <Empty action={model.status === "ready" && measure}>Nothing was measured yet.</Empty>
      </Section>
    );
  }
  return groups.map((group) => (
    <Section
      key={group.key}
      title={`Results on ${datasets.get(group.datasetId ?? "") ?? "its test images"}`}
      note="test accuracy, %; 95 % Wilson intervals"
    >
      {group.threatModel !== undefined && <ThreatLine threatModel={group.threatModel} />}
      <DataTable
        label="Results"
        rows={group.rows}
        columns={columnsOf(group)}
        rowId={({ measure }) => measure.key}
      />
    </Section>
  ));
}

function intervalOf({ value: { low, high } }: ResultRow): Interval | undefined {
  return low === null || high === null ? undefined : [low, high];
}

function columnsOf({ rows, deciding }: ResultGroup): Column<ResultRow>[] {
  const intervals = rows.map(intervalOf).filter((interval) => interval !== undefined);
  const scale = scaleOf(intervals);
  return [
    { id: "measure", title: "Measure", isRowHead: true, cell: ({ measure }) => measure.label },
    {
      id: "value",
      title: "Accuracy",
      kind: "number",
      cell: (row) => (
        <span className={row.measure.key === deciding?.measure.key ? "strong" : undefined}>
          {formatShare(row.value.value)}
        </span>
      ),
    },
    {
      id: "bounds",
      title: "Interval",
      kind: "number",
      cell: (row) => {
        const interval = intervalOf(row);
        return <span className="dim">{interval && formatInterval(interval)}</span>;
      },
    },
    whiskerColumn(scale),
    ...originColumns(),
  ];
}

function whiskerColumn(scale: Scale): Column<ResultRow> {
  return {
    id: "whisker",
    title: <WhiskerScale scale={scale} />,
    kind: "whisker",
    hide: "phone",
    cell: (row) => {
      const interval = intervalOf(row);
      const kind = row.measure.threatModel === undefined ? "clean" : "robust";
      return (
        interval && (
          <Whisker value={row.value.value} interval={interval} scale={scale} kind={kind} />
        )
      );
    },
  };
}

/** On how many images, and by which job. */
function originColumns(): Column<ResultRow>[] {
  return [
    {
      id: "images",
      title: "Images",
      kind: "number",
      hide: "phone",
      cell: ({ value: { images } }) => (images === null ? "" : formatNumber(images)),
    },
    {
      id: "job",
      title: "Measured by",
      kind: "number",
      cell: ({ value: { job_id: job } }) => (
        <Link to={`/jobs/${job}`}>
          <Id id={job} />
        </Link>
      ),
    },
  ];
}
