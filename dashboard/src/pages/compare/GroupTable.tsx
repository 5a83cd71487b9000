/** Means over the runs of a group: seeds of one method, or of one line of a sweep. */

import { Section } from "@/components/page/Section";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber, formatShare } from "@/format/numbers";

import styles from "./compare.module.css";
import { RunKey } from "./RunKey";
import { spreadOf, type Group, type Section as Tested, type Spread } from "./runs";
import { measureLabel } from "./sentences";

interface GroupRow {
  group: Group;
  spreads: ReadonlyMap<string, Spread>;
}

interface GroupTableProps {
  section: Tested;
  groups: readonly Group[];
}

export function GroupTable({ section, groups }: GroupTableProps) {
  const rows = groupRows(section, groups);
  return (
    <Section
      title="Means over runs"
      note="test accuracy, % · mean ± standard deviation over the runs of a group: what changes from seed to seed, not the interval of the test images"
    >
      <DataTable
        label="Means over runs"
        rows={rows}
        columns={columnsOf(section)}
        rowId={({ group }) => group.label}
      />
    </Section>
  );
}

function groupRows(section: Tested, groups: readonly Group[]): GroupRow[] {
  const results = new Map(section.rows.map((row) => [row.job_id, row.results]));
  const rows = groups.map((group) => {
    const spreads = new Map<string, Spread>();
    for (const key of section.measures) {
      const values = group.runs.flatMap(({ id }) => results.get(id)?.[key]?.value ?? []);
      const spread = spreadOf(values);
      if (spread !== undefined) spreads.set(key, spread);
    }
    return { group, spreads };
  });
  const mean = ({ spreads }: GroupRow) => spreads.get(section.deciding)?.mean ?? -1;
  return rows.filter(({ spreads }) => spreads.size > 0).sort((a, b) => mean(b) - mean(a));
}

function columnsOf(section: Tested): Column<GroupRow>[] {
  const { deciding, measures } = section;
  const ordered = [...measures.filter((key) => key !== deciding), deciding];
  return [
    {
      id: "group",
      title: "Group",
      isRowHead: true,
      cell: ({ group }) => (
        <span className={styles.run}>
          <RunKey color={group.color} />
          <span className="strong">{group.label}</span>
        </span>
      ),
    },
    {
      id: "runs",
      title: "Runs",
      kind: "number",
      sortBy: ({ spreads }) => spreads.get(deciding)?.count,
      cell: ({ spreads }) => formatNumber(spreads.get(deciding)?.count ?? 0),
    },
    ...ordered.map((key): Column<GroupRow> => ({
      id: key,
      title: measureLabel(section, key),
      kind: "number",
      ...(key === deciding ? {} : { hide: key === "clean" ? ("phone" as const) : "medium" }),
      sortBy: ({ spreads }) => spreads.get(key)?.mean,
      cell: ({ spreads }) => <SpreadCell spread={spreads.get(key)} isDeciding={key === deciding} />,
    })),
  ];
}

function SpreadCell({ spread, isDeciding }: { spread: Spread | undefined; isDeciding: boolean }) {
  if (spread === undefined) return null;
  const { mean, deviation } = spread;
  return (
    <>
      <span className={isDeciding ? "strong" : undefined}>{formatShare(mean)}</span>
      {deviation !== undefined && <span className="dim"> ± {formatShare(deviation)}</span>}
    </>
  );
}
