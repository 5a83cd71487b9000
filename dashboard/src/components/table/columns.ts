/** What a page says of a table's columns. */

import type { ReactNode } from "react";

export interface Column<Row> {
  id: string;
  title: ReactNode;
  cell: (row: Row) => ReactNode;
  /** Makes the head a button. Undefined is a missing value, which is last in both directions. */
  sortBy?: (row: Row) => number | string | undefined;
  /** Numbers are at the right, words at the left; a whisker has room around it. */
  kind?: "text" | "number" | "whisker";
  /** Names the row: a row's first column, most often. */
  isRowHead?: boolean;
  /** Not on a phone; or not below 1180 px either. */
  hide?: "phone" | "medium";
  /** A head above this column's and its neighbors' of the same group. */
  group?: string;
  /** Its place where a phone shows the table as a list (`stack`); without one it is left out. */
  stack?: "name" | "state" | "deciding" | "when";
  /** Words that a phone shows below the row's other cells, over its whole width. */
  below?: boolean;
}

export interface Sort {
  column: string;
  descending: boolean;
}

export interface GroupHead<Row> {
  /** Empty above a column that is in no group. */
  title: string;
  span: number;
  /** The first one below it. */
  column: Column<Row>;
}

/** Heads above the columns: neighbors of one group share one. */
export function groupHeads<Row>(columns: readonly Column<Row>[]): GroupHead<Row>[] {
  const heads: GroupHead<Row>[] = [];
  for (const column of columns) {
    const { group = "" } = column;
    const last = heads.at(-1);
    if (last?.title === group && group !== "") last.span += 1;
    else heads.push({ title: group, span: 1, column });
  }
  return heads;
}

/** The order after a press on a column's head: numbers begin with the largest, words with A. */
export function nextSort<Row>(column: Column<Row>, sort: Sort | undefined): Sort {
  const descending = sort?.column === column.id ? !sort.descending : column.kind === "number";
  return { column: column.id, descending };
}
