/**
 * Rows of 36 px (44 px by touch), sortable heads, selection, the first column held while the
 * others scroll. On a phone it may become a list (`stack`).
 */

import {
  createSortedRowModel,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_text,
  tableFeatures,
  useTable,
  type ColumnDef,
} from "@tanstack/react-table";
import { useMemo, useState } from "react";

import type { Column, Sort } from "./columns";
import { ScrollRegion } from "./ScrollRegion";
import { TableHead } from "./TableHead";
import styles from "./table.module.css";

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, text: sortFn_text },
});
type Definition<Row> = ColumnDef<typeof features, Row & object>;

export interface DataTableProps<Row> {
  /** What the rows are, for a screen reader. */
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowId: (row: Row) => string;
  /** The order, where the page holds it (in its address). */
  sort?: Sort | undefined;
  onSort?: (sort: Sort) => void;
  /** The service has sorted the rows: their order stays as it is. */
  isSortedByService?: boolean;
  /** Ids of the chosen rows; with it, every row has a check box. */
  selection?: ReadonlySet<string>;
  onSelect?: (selection: ReadonlySet<string>) => void;
  /** A row's name, for its check box. */
  rowName?: (row: Row) => string;
  /** Rows of 50 px, for cells of two lines. */
  tall?: boolean;
  /** On a phone: a list instead of a table. */
  stack?: boolean;
}

export function DataTable<Row extends object>(props: DataTableProps<Row>) {
  const { label, columns, tall = false, stack = false } = props;
  const [ownSort, setOwnSort] = useState<Sort>();
  const sort = props.sort ?? ownSort;
  const rows = useSortedRows(props, sort);
  const ids = useMemo(() => rows.map(props.rowId), [rows, props.rowId]);
  const layout = [stack ? styles.stack : "", belowClass(columns)];
  const className = [styles.table, tall ? styles.tall : "", ...layout].join(" ");
  return (
    <ScrollRegion label={label}>
      <table className={className}>
        <caption className="vh">{label}</caption>
        <TableHead
          columns={columns}
          sort={sort}
          onSort={props.onSort ?? setOwnSort}
          ids={ids}
          selection={props.selection}
          onSelect={props.onSelect}
        />
        <tbody>
          {rows.map((row, index) => (
            <TableRow key={ids[index]} id={ids[index] ?? ""} row={row} table={props} />
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function TableRow<Row>(props: { id: string; row: Row; table: DataTableProps<Row> }) {
  const { id, row, table } = props;
  const { columns, selection, rowName } = table;
  const isChosen = selection?.has(id) ?? false;
  return (
    <tr className={isChosen ? styles.chosen : undefined}>
      {selection !== undefined && (
        <td className={styles.pick}>
          <input
            type="checkbox"
            aria-label={`Select ${rowName?.(row) ?? id}`}
            checked={isChosen}
            onChange={() => table.onSelect?.(toggled(selection, id))}
          />
        </td>
      )}
      {columns.map((column) => {
        const Cell = column.isRowHead ? "th" : "td";
        return (
          <Cell
            key={column.id}
            className={cellClass(column)}
            scope={column.isRowHead ? "row" : undefined}
          >
            {column.cell(row)}
          </Cell>
        );
      })}
    </tr>
  );
}

function useSortedRows<Row extends object>(
  props: DataTableProps<Row>,
  sort: Sort | undefined,
): Row[] {
  const { rows, columns, rowId, isSortedByService = false } = props;
  const data = useMemo(() => [...rows], [rows]);
  const definitions = useMemo(() => columns.map(definitionOf), [columns]);
  const sorting = useMemo(
    () => (sort === undefined ? [] : [{ id: sort.column, desc: sort.descending }]),
    [sort],
  );
  const table = useTable({
    features,
    data,
    columns: definitions,
    getRowId: rowId,
    manualSorting: isSortedByService,
    state: { sorting },
    onSortingChange: () => undefined, // heads call onSort themselves
  });
  return table.getRowModel().rows.map((row) => row.original);
}

function definitionOf<Row>(column: Column<Row>): Definition<Row> {
  const { id, sortBy } = column;
  if (sortBy === undefined) return { id, header: id };
  return { id, header: id, accessorFn: sortBy, sortUndefined: "last" };
}

/** With words below a row, the number of cells beside its name is needed. */
function belowClass<Row>(columns: readonly Column<Row>[]): string {
  if (!columns.some(({ below = false }) => below)) return "";
  const beside = columns.filter(
    ({ below = false, hide, isRowHead = false }) => !below && !isRowHead && hide === undefined,
  );
  return `${styles.hasBelow ?? ""} ${styles[`beside${beside.length}`] ?? ""}`;
}

/** The class of a column's cells and of its head. */
export function cellClass<Row>(column: Column<Row>): string {
  const { kind = "text", hide, stack, below = false, isRowHead = false } = column;
  const classes = [styles[kind], stack === undefined ? "" : styles[stack]];
  if (below) classes.push(styles.below);
  if (isRowHead) classes.push(styles.held);
  if (hide !== undefined) classes.push(hide === "phone" ? "hide-phone" : "hide-medium");
  if (hide === "medium") classes.push("hide-phone");
  return classes.filter(Boolean).join(" ");
}

function toggled(selection: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(selection);
  if (!next.delete(id)) next.add(id);
  return next;
}
