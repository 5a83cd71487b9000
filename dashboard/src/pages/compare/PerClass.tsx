/** Accuracy of each class, beside the base's: read only when it is opened. */

import { useQuery } from "@tanstack/react-query";

import { datasetsQuery, LARGEST_PAGE } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Note, Section } from "@/components/page/Section";
import { QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber, formatShare, formatSigned } from "@/format/numbers";

import { perClassQuery } from "./data";
import { COLORS, type Run, type Section as Tested } from "./runs";
import { measureLabel } from "./sentences";
import type { ThreatSectionProps } from "./ThreatSection";

export function PerClass({ section, comparison, runs, view, onChange }: ThreatSectionProps) {
  const isOpen = view.open.has("classes");
  const toggle = () => {
    const open = new Set(view.open);
    if (!open.delete("classes")) open.add("classes");
    onChange("open", open.size === 0 ? undefined : [...open].join(","));
  };
  const base = runs.find(({ id }) => id === comparison.base);
  const measure = measureLabel(section, section.deciding);
  return (
    <Section
      title="By class"
      note={`test accuracy, %, ${measure === "Clean" ? "clean" : `under ${measure}`} · below: difference to ${base?.label ?? "the base"} in points, without a test`}
      more={
        <Button kind="link" onClick={toggle} aria-expanded={isOpen}>
          {isOpen ? "Hide" : "Show"}
        </Button>
      }
    >
      {isOpen && <Classes section={section} runs={runs} base={comparison.base} view={view} />}
    </Section>
  );
}

interface ClassesProps extends Pick<ThreatSectionProps, "section" | "runs" | "view"> {
  base: string;
}

function Classes({ section, runs, base, view }: ClassesProps) {
  const comparison = useQuery(perClassQuery(view));
  const datasets = useQuery(datasetsQuery({ limit: LARGEST_PAGE }));
  const names = datasets.data?.data.find(({ id }) => id === section.dataset_id)?.description
    ?.class_names;
  return (
    <QueryState query={comparison} rows={6}>
      {({ sections }) => {
        const same = sections.find((one) => isSame(one, section));
        const columns = classColumns(same, runs, base);
        if (columns.length === 0) return <Note>Accuracies by class were not measured.</Note>;
        return <ClassTable columns={columns} base={base} names={names ?? []} />;
      }}
    </QueryState>
  );
}

function isSame(a: Tested, b: Tested): boolean {
  return a.dataset_id === b.dataset_id && a.deciding === b.deciding;
}

interface ClassColumn {
  run: Run;
  values: readonly (number | null)[];
}

/** The base first, then the runs in color, or the first ones. */
function classColumns(
  section: Tested | undefined,
  runs: readonly Run[],
  base: string,
): ClassColumn[] {
  if (section === undefined) return [];
  const byId = new Map(
    section.rows.map((row) => [row.job_id, row.per_class?.[section.deciding]] as const),
  );
  const ordered = [...runs].sort((a, b) => rank(a, base) - rank(b, base));
  return ordered
    .flatMap((run) => {
      const values = byId.get(run.id);
      return values === undefined ? [] : [{ run, values }];
    })
    .slice(0, COLORS);
}

function rank({ id, isChosen }: Run, base: string): number {
  if (id === base) return 0;
  return isChosen ? 1 : 2;
}

interface ClassRow {
  name: string;
  index: number;
}

interface ClassTableProps {
  columns: readonly ClassColumn[];
  base: string;
  names: readonly string[];
}

function ClassTable({ columns, base, names }: ClassTableProps) {
  const count = Math.max(...columns.map(({ values }) => values.length));
  const rows = Array.from({ length: count }, (_, index) => ({
    index,
    name: names[index] ?? formatNumber(index),
  }));
  const baseValues = columns.find(({ run }) => run.id === base)?.values;
  const tableColumns: Column<ClassRow>[] = [
    { id: "class", title: "Class", isRowHead: true, cell: ({ name }) => <bdi>{name}</bdi> },
    ...columns.map(({ run, values }): Column<ClassRow> => ({
      id: run.id,
      title: <bdi>{run.label}</bdi>,
      kind: "number",
      cell: ({ index }) => (
        <ClassCell
          value={values[index] ?? undefined}
          base={run.id === base ? undefined : (baseValues?.[index] ?? undefined)}
        />
      ),
    })),
  ];
  return (
    <DataTable
      label="Accuracy by class"
      rows={rows}
      columns={tableColumns}
      rowId={({ index }) => String(index)}
      tall={columns.length > 1}
    />
  );
}

function ClassCell({ value, base }: { value: number | undefined; base: number | undefined }) {
  if (value === undefined) return null;
  return (
    <>
      {formatShare(value)}
      {base !== undefined && <span className="sub">{formatSigned(100 * (value - base), 1)}</span>}
    </>
  );
}
