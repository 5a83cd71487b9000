/** Accuracies of every run, and its difference to the base on the same images, in words. */

import { useMemo } from "react";
import { Link } from "react-router";

import { Button } from "@/components/controls/Button";
import { scaleOf, Whisker, WhiskerScale, type Scale } from "@/components/marks/Whisker";
import { Section } from "@/components/page/Section";
import type { Column, Sort } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatInterval, formatNumber, formatShare } from "@/format/numbers";

import styles from "./compare.module.css";
import { NO_PINS } from "./address";
import { hoverHandlers, type Hover } from "./hover";
import { COLORS, sortedRows, type Row, type Run, type Section as Tested } from "./runs";
import {
  differenceInterval,
  differenceText,
  measureLabel,
  tableNote,
  verdictDetail,
  verdictWords,
} from "./sentences";
import { RunKey } from "./RunKey";
import type { ThreatSectionProps } from "./ThreatSection";

const FEW = 20;

export function ResultsTable(props: ThreatSectionProps) {
  const { section, comparison, runs, view, hover, onChange } = props;
  const { base } = comparison;
  const byId = useMemo(() => new Map(runs.map((run) => [run.id, run])), [runs]);
  const baseName = byId.get(base)?.label ?? base;
  const sort = sortOf(view.sort, section);
  const rows = sortedRows(section.rows, sort);
  const isOpen = view.open.has("rows") || rows.length <= FEW;
  const pin = runs.length > COLORS && byId.get(base)?.group === undefined ? props : undefined;
  const columns = columnsOf(section, byId, base, hover, pin);
  return (
    <Section
      title="Results, paired"
      note={tableNote(section, baseName)}
      more={<BaseChoice runs={runs} base={base} onChange={(id) => onChange("base", id)} />}
    >
      <DataTable
        label={`Results, compared to ${baseName}`}
        rows={isOpen ? rows : rows.slice(0, FEW)}
        columns={columns}
        rowId={({ job_id: id }) => id}
        sort={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-") }}
        onSort={({ column, descending }: Sort) =>
          onChange("sort", `${descending ? "-" : ""}${column}`)
        }
        isSortedByService
        tall
      />
      {!isOpen && (
        <p className={styles.below}>
          <Button onClick={() => onChange("open", [...view.open, "rows"].join(","))}>
            Show all {formatNumber(rows.length)} runs
          </Button>
        </p>
      )}
    </Section>
  );
}

/** The address' order where this section has such a column, else by the deciding measure. */
function sortOf(wish: string | undefined, { measures, deciding }: Tested): string {
  const isKnown = wish !== undefined && measures.includes(wish.replace(/^-/, ""));
  return isKnown ? wish : `-${deciding}`;
}

interface BaseChoiceProps {
  runs: readonly Run[];
  base: string;
  onChange: (id: string) => void;
}

function BaseChoice({ runs, base, onChange }: BaseChoiceProps) {
  return (
    <label className={styles.choice}>
      Base
      <select
        className={styles.select}
        value={base}
        onChange={(event) => onChange(event.target.value)}
      >
        {runs.map(({ id, label }) => (
          <option key={id} value={id}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

type Runs = ReadonlyMap<string, Run>;

function columnsOf(
  section: Tested,
  runs: Runs,
  base: string,
  hover: Hover,
  pin: ThreatSectionProps | undefined,
): Column<Row>[] {
  const { measures, deciding } = section;
  const intervals = section.rows.flatMap(({ results }) => {
    const { low = null, high = null } = results[deciding] ?? {};
    return low === null || high === null ? [] : [[low, high] as const];
  });
  const others = measures.filter((key) => key !== deciding);
  return [
    nameColumn(runs, section.rows.length > 1, hover, pin),
    ...others.map((key) => valueColumn(section, key)),
    decidingColumn(section),
    ...(intervals.length === 0 ? [] : [whiskerColumn(section, runs, scaleOf(intervals))]),
    differenceColumn(section),
    verdictColumn(section, runs, base),
  ];
}

function nameColumn(
  runs: Runs,
  several: boolean,
  hover: Hover,
  pin: ThreatSectionProps | undefined,
): Column<Row> {
  return {
    id: "run",
    title: "Run",
    isRowHead: true,
    cell: ({ job_id: id, pareto }) => {
      const run = runs.get(id);
      return (
        <span className={styles.run} {...hoverHandlers(hover, id)}>
          {pin === undefined ? (
            <RunKey color={run?.color ?? "rest"} />
          ) : (
            <Pin run={run} runs={runs} onPin={(ids) => pin.onChange("pin", ids)} />
          )}
          <span className={styles.runName}>
            <Link className="quiet strong" to={`/jobs/${id}`} title={run?.job.name ?? id}>
              <bdi>{run?.label ?? id}</bdi>
            </Link>
            {pareto && several && (
              <span className="sub" title="No run is more accurate both clean and under attack">
                Pareto front
              </span>
            )}
          </span>
        </span>
      );
    },
  };
}

interface PinProps {
  run: Run | undefined;
  runs: Runs;
  onPin: (ids: string) => void;
}

/** With more runs than colors, a press gives a run its own. */
function Pin({ run, runs, onPin }: PinProps) {
  if (run === undefined) return null;
  const pinned = [...runs.values()].filter(({ isChosen }) => isChosen).map(({ id }) => id);
  const next = run.isChosen ? pinned.filter((id) => id !== run.id) : [...pinned, run.id];
  const isFull = !run.isChosen && pinned.length >= COLORS;
  return (
    <button
      type="button"
      className={styles.pin}
      aria-pressed={run.isChosen}
      aria-label={`${run.label} in color`}
      title={isFull ? `At most ${COLORS} runs have a color.` : "In color, in all charts"}
      disabled={isFull}
      onClick={() => onPin(next.join(",") || NO_PINS)}
    >
      <RunKey color={run.color} />
    </button>
  );
}

function valueColumn(section: Tested, key: string): Column<Row> {
  return {
    id: key,
    title: measureLabel(section, key),
    kind: "number",
    hide: key === "clean" ? "phone" : "medium",
    sortBy: () => undefined,
    cell: ({ results }) => {
      const result = results[key];
      if (result === undefined) return null;
      const { value, low, high } = result;
      const interval = low == null || high == null ? undefined : formatInterval([low, high]);
      return (
        <>
          {formatShare(value)}
          {interval !== undefined && <span className="sub">{interval}</span>}
        </>
      );
    },
  };
}

function decidingColumn(section: Tested): Column<Row> {
  const { deciding } = section;
  return {
    id: deciding,
    title: measureLabel(section, deciding),
    kind: "number",
    sortBy: () => undefined,
    cell: ({ results }) => {
      const result = results[deciding];
      if (result === undefined) return <span className="dim">not run</span>;
      const { value, low, high } = result;
      return (
        <>
          <span className="strong">{formatShare(value)}</span>
          {low !== null && high !== null && (
            <span className="sub">{formatInterval([low, high])}</span>
          )}
        </>
      );
    },
  };
}

function whiskerColumn({ deciding }: Tested, runs: Runs, scale: Scale): Column<Row> {
  return {
    id: "interval",
    title: <WhiskerScale scale={scale} />,
    kind: "whisker",
    hide: "phone",
    cell: ({ job_id: id, results }) => {
      const { value, low = null, high = null } = results[deciding] ?? {};
      if (value === undefined || low === null || high === null) return null;
      const color = runs.get(id)?.color;
      const kind = typeof color === "number" ? color : "robust";
      return <Whisker value={value} interval={[low, high]} scale={scale} kind={kind} />;
    },
  };
}

function differenceColumn({ deciding }: Tested): Column<Row> {
  return {
    id: "difference",
    title: "Difference",
    kind: "number",
    cell: ({ differences }) => {
      const difference = differences[deciding];
      if (difference === undefined) return null;
      return (
        <>
          {differenceText(difference)}
          <span className="sub">{differenceInterval(difference)}</span>
        </>
      );
    },
  };
}

function verdictColumn({ deciding }: Tested, runs: Runs, base: string): Column<Row> {
  const baseName = runs.get(base)?.label ?? base;
  return {
    id: "verdict",
    title: "Verdict",
    below: true,
    cell: ({ job_id: id, differences }) => {
      if (id === base) return <span className="dim">base of the comparison</span>;
      const difference = differences[deciding];
      if (difference === undefined)
        return <span className="dim">{baseName} is not in this table</span>;
      const [word, rest] = verdictWords(difference, baseName);
      return (
        <span className={styles.verdict}>
          <span className="strong">{word}</span>
          {rest}
          <span className="sub">
            {verdictDetail(difference, runs.get(id)?.label ?? id, baseName)}
          </span>
        </span>
      );
    },
  };
}
