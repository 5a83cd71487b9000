/** A chart's data as a table, thinned to what a person reads. */

import { Dialog } from "@/components/controls/Dialog";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber, formatSignificant } from "@/format/numbers";

import type { Series } from "./series";

const MOST_ROWS = 200;

interface Row {
  x: number;
  values: ReadonlyMap<string, number>;
}

interface ChartDataProps {
  title: string;
  xLabel: string;
  series: readonly Series[];
  format: (value: number) => string;
  onClose: () => void;
}

export function ChartData({ title, xLabel, series, format, onClose }: ChartDataProps) {
  const rows = rowsOf(series);
  const shown = thin(rows, MOST_ROWS);
  const columns: Column<Row>[] = [
    { id: "x", title: xLabel, isRowHead: true, cell: ({ x }) => formatSignificant(x, 6) },
    ...series.map(({ id, label }): Column<Row> => ({
      id,
      title: label,
      kind: "number",
      cell: ({ values }) => {
        const value = values.get(id);
        return value === undefined ? "" : format(value);
      },
    })),
  ];
  return (
    <Dialog title={title} isOpen onClose={onClose} wide>
      {shown.length < rows.length && (
        <p className="small dim">
          {formatNumber(shown.length)} of {formatNumber(rows.length)} rows, evenly spaced.
        </p>
      )}
      <DataTable label={title} rows={shown} columns={columns} rowId={({ x }) => String(x)} />
    </Dialog>
  );
}

function rowsOf(series: readonly Series[]): Row[] {
  const rows = new Map<number, Map<string, number>>();
  for (const { id, points } of series) {
    for (const [x, y] of points) {
      const values = rows.get(x) ?? new Map<string, number>();
      values.set(id, y);
      rows.set(x, values);
    }
  }
  return [...rows].sort(([a], [b]) => a - b).map(([x, values]) => ({ x, values }));
}

/** Returns at most `most` rows, the first and the last among them. */
export function thin<Item>(items: readonly Item[], most: number): Item[] {
  if (items.length <= most) return [...items];
  const step = (items.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => items[Math.round(index * step)] as Item);
}
