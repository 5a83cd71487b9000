/** The heads of a DataTable: groups, sort buttons, the check box for all rows. */

import { groupHeads, nextSort, type Column, type Sort } from "./columns";
import { cellClass } from "./DataTable";
import styles from "./table.module.css";

interface TableHeadProps<Row> {
  columns: readonly Column<Row>[];
  sort: Sort | undefined;
  onSort: (sort: Sort) => void;
  /** Of all rows. */
  ids: readonly string[];
  selection: ReadonlySet<string> | undefined;
  onSelect: ((selection: ReadonlySet<string>) => void) | undefined;
}

export function TableHead<Row>(props: TableHeadProps<Row>) {
  const { columns, selection } = props;
  const hasGroups = columns.some(({ group }) => group !== undefined);
  return (
    <thead>
      {hasGroups && (
        <tr className={styles.group}>
          {selection !== undefined && <td />}
          {groupHeads(columns).map(({ title, span, column }, index) =>
            title === "" ? (
              // Hidden with its column, so that the groups stay above theirs.
              <td key={index} className={cellClass(column)} />
            ) : (
              <th key={index} colSpan={span} scope="colgroup" className={styles.number}>
                {title}
              </th>
            ),
          )}
        </tr>
      )}
      <tr>
        {selection !== undefined && <SelectAll {...props} selection={selection} />}
        {columns.map((column) => (
          <Head key={column.id} column={column} sort={props.sort} onSort={props.onSort} />
        ))}
      </tr>
    </thead>
  );
}

interface HeadProps<Row> {
  column: Column<Row>;
  sort: Sort | undefined;
  onSort: (sort: Sort) => void;
}

function Head<Row>({ column, sort, onSort }: HeadProps<Row>) {
  const isSorted = sort?.column === column.id;
  const direction = sort?.descending ? "descending" : "ascending";
  return (
    <th scope="col" className={cellClass(column)} aria-sort={isSorted ? direction : undefined}>
      {column.sortBy === undefined ? (
        column.title
      ) : (
        <button type="button" onClick={() => onSort(nextSort(column, sort))}>
          {column.title}
          {isSorted && <span aria-hidden="true">{sort.descending ? " ↓" : " ↑"}</span>}
        </button>
      )}
    </th>
  );
}

function SelectAll<Row>(props: TableHeadProps<Row> & { selection: ReadonlySet<string> }) {
  const { ids, selection, onSelect } = props;
  const chosen = ids.filter((id) => selection.has(id)).length;
  const isAll = ids.length > 0 && chosen === ids.length;
  return (
    <td className={styles.pick}>
      <input
        type="checkbox"
        aria-label="Select all rows"
        checked={isAll}
        ref={(input) => {
          if (input !== null) input.indeterminate = chosen > 0 && !isAll;
        }}
        onChange={() => onSelect?.(new Set(isAll ? [] : ids))}
      />
    </td>
  );
}
