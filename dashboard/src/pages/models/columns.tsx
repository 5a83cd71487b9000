/** The columns of one section: rank, model, accuracies, and what it gains on its teacher. */

import { Link } from "react-router";

import { ROOT } from "@/api/root";
import { buttonClass } from "@/components/controls/Button";
import { Icon } from "@/components/marks/Icon";
import { scaleOf, Whisker, WhiskerScale, type Scale } from "@/components/marks/Whisker";
import type { Column } from "@/components/table/columns";
import { methodTitle } from "@/format/names";
import { formatInterval, formatShare, formatSigned } from "@/format/numbers";
import type { Interval } from "@/format/statistics";

import type { Row, Section } from "./data";
import styles from "./models.module.css";
import { measureLabel, parametersOf, rankText } from "./sentences";

export function columnsOf(section: Section, teachers: ReadonlySet<string>): Column<Row>[] {
  const { deciding, measures, rows } = section;
  const others = measures.filter((key) => key !== deciding);
  const intervals = rows
    .map((row) => intervalOf(row, deciding))
    .filter((interval) => interval !== undefined);
  return [
    rankColumn(),
    modelColumn(teachers),
    ...others.map((key) => accuracyColumn(key, false)),
    accuracyColumn(deciding, true),
    ...(intervals.length === 0 ? [] : [whiskerColumn(deciding, scaleOf(intervals))]),
    ...(rows.some((row) => row.difference !== null) ? [differenceColumn()] : []),
    downloadColumn(),
  ];
}

function intervalOf(row: Row, key: string): Interval | undefined {
  const { low, high } = row.results[key] ?? { low: null, high: null };
  return low === null || high === null ? undefined : [low, high];
}

function rankColumn(): Column<Row> {
  return {
    id: "rank",
    title: "Rank",
    kind: "number",
    cell: ({ rank }) => <span className="dim">{rankText(rank)}</span>,
    sortBy: ({ rank }) => rank?.low,
  };
}

function modelColumn(teachers: ReadonlySet<string>): Column<Row> {
  return {
    id: "model",
    title: "Model",
    isRowHead: true,
    sortBy: ({ name }) => name,
    cell: (row) => (
      <>
        <Link
          className={`strong ${styles.name ?? ""}`}
          to={`/models/${row.model_id}`}
          title={row.name}
        >
          {row.name}
        </Link>
        <span className="sub">{subtitle(row, teachers)}</span>
      </>
    ),
  };
}

function subtitle(row: Row, teachers: ReadonlySet<string>): string {
  const words = [
    row.method === null ? row.architecture : methodTitle(row.method),
    teachers.has(row.model_id) ? "teacher" : undefined,
    parametersOf(row),
  ];
  return words.filter((word) => word !== undefined).join(", ");
}

function accuracyColumn(key: string, isDeciding: boolean): Column<Row> {
  return {
    id: key,
    title: measureLabel(key),
    kind: "number",
    ...(isDeciding ? {} : { hide: "phone" as const }),
    sortBy: ({ results }) => results[key]?.value,
    cell: (row) => {
      const result = row.results[key];
      if (result === undefined) return "";
      const interval = intervalOf(row, key);
      const bounds = interval && formatInterval(interval);
      return (
        <>
          <span className={isDeciding ? "strong" : undefined} title={bounds}>
            {formatShare(result.value)}
          </span>
          {isDeciding && bounds !== undefined && <span className="sub">{bounds}</span>}
        </>
      );
    },
  };
}

function whiskerColumn(key: string, scale: Scale): Column<Row> {
  return {
    id: "interval",
    title: <WhiskerScale scale={scale} />,
    kind: "whisker",
    hide: "medium",
    cell: (row) => {
      const value = row.results[key]?.value;
      const interval = intervalOf(row, key);
      if (value === undefined || interval === undefined) return "";
      return <Whisker value={value} interval={interval} scale={scale} kind="robust" />;
    },
  };
}

function differenceColumn(): Column<Row> {
  return {
    id: "difference",
    title: "vs. teacher",
    kind: "number",
    hide: "phone",
    sortBy: ({ difference }) => difference?.value,
    cell: ({ difference }) => {
      if (difference === null) return "";
      const { value, low, high, verdict } = difference;
      return (
        <span title={verdict}>
          {formatSigned(100 * value)}
          <span className="vh"> points, {verdict}</span>
          {low !== null && high !== null && (
            <span className="sub">
              {formatSigned(100 * low, 1)} to {formatSigned(100 * high, 1)}
            </span>
          )}
        </span>
      );
    },
  };
}

function downloadColumn(): Column<Row> {
  return {
    id: "download",
    title: <span className="vh">Weights</span>,
    kind: "number",
    hide: "phone",
    cell: ({ model_id: id, name }) => (
      <a
        className={buttonClass("plain")}
        href={`${ROOT}/v1/models/${encodeURIComponent(id)}/content`}
        download
        aria-label={`Download weights of ${name}`}
      >
        <Icon name="download" />
      </a>
    ),
  };
}
