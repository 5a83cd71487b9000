/** The rows, what stands around them, and what can be done with those that are selected. */

import { LinkButton } from "@/components/controls/Button";
import { Button } from "@/components/controls/Button";
import { Notice } from "@/components/states/Notice";
import { Empty } from "@/components/states/QueryState";
import type { Sort } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { jobTitle } from "@/format/names";
import { plural } from "@/format/numbers";
import type { JobSummary } from "@/api/queries";

import { useJobActions, type JobAction, type Outcome } from "./actions";
import { PAGE_SIZES, sortChanges, type Changes, type View } from "./address";
import { columnsOf, shownIds } from "./columns";
import { useSelected, type Accuracies } from "./data";
import styles from "./jobs.module.css";
import { scopeTitle } from "./measures";
import { Selection } from "./Selection";

interface Page {
  data: JobSummary[];
  next_cursor: string | null;
  has_more: boolean;
}

/** Another selection, made from the one in the address. */
export type Select = (next: (old: ReadonlySet<string>) => Iterable<string>) => void;

interface JobsTableProps {
  page: Page;
  view: View;
  accuracies: Accuracies;
  isFiltered: boolean;
  onChange: (changes: Changes) => void;
  /** Removes all filters. */
  onClear: () => void;
  onSelect: Select;
}

export function JobsTable(props: JobsTableProps) {
  const { page, view, accuracies, isFiltered, onChange, onClear, onSelect } = props;
  const { data: rows } = page;
  const { selected } = view;
  const jobs = useSelected(selected, rows);
  const { isBusy, outcome, act, dismiss } = useJobActions();
  const run = async (action: JobAction, chosen: readonly JobSummary[]) => {
    const { done } = await act(action, chosen);
    const gone = new Set(done.map(({ id }) => id));
    if (action !== "restore") onSelect((old) => [...old].filter((id) => !gone.has(id)));
  };
  return (
    <>
      {outcome !== undefined && (
        <OutcomeNotice
          outcome={outcome}
          onRestore={(gone) => void run("restore", gone)}
          onClose={dismiss}
        />
      )}
      {rows.length === 0 ? (
        <Nothing isFiltered={isFiltered} view={view} onClear={onClear} />
      ) : (
        <Rows {...{ rows, view, accuracies, onChange, onSelect }} />
      )}
      <Foot page={page} view={view} accuracies={accuracies} onChange={onChange} />
      <Selection
        ids={selected}
        jobs={jobs}
        isBusy={isBusy}
        onAct={run}
        onClear={() => onSelect(() => [])}
      />
    </>
  );
}

interface RowsProps {
  rows: readonly JobSummary[];
  view: View;
  accuracies: Accuracies;
  onChange: (changes: Changes) => void;
  onSelect: Select;
}

function Rows({ rows, view, accuracies, onChange, onSelect }: RowsProps) {
  const { columns: chosen, sort } = view;
  const columns = columnsOf(shownIds(chosen, accuracies), rows, accuracies);
  const onSort = ({ column, descending }: Sort) =>
    onChange(sortChanges(`${descending ? "-" : ""}${column}`, accuracies.scope?.datasetId));
  /** The selection of other pages stays. */
  const select = (next: ReadonlySet<string>) => {
    const here = new Set(rows.map(({ id }) => id));
    onSelect((old) => [...[...old].filter((id) => !here.has(id)), ...next]);
  };
  return (
    <DataTable
      label="Jobs"
      rows={rows}
      columns={columns}
      rowId={({ id }) => id}
      rowName={jobTitle}
      sort={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-") }}
      onSort={onSort}
      isSortedByService
      selection={view.selected}
      onSelect={select}
      stack
    />
  );
}

interface NothingProps {
  isFiltered: boolean;
  view: View;
  onClear: () => void;
}

function Nothing({ isFiltered, view, onClear }: NothingProps) {
  if (!isFiltered && view.after === undefined) {
    return (
      <Empty action={<LinkButton to="/submit">Start from an example</LinkButton>}>
        A job trains or tests a network. The digits example takes half a minute.
      </Empty>
    );
  }
  return (
    <Empty action={<Button onClick={onClear}>Show all jobs</Button>}>
      No job passes these filters.
    </Empty>
  );
}

type FootProps = Pick<JobsTableProps, "page" | "view" | "accuracies" | "onChange">;

function Foot({ page, view, accuracies, onChange }: FootProps) {
  const { scope } = accuracies;
  const where = scope === undefined ? "" : ` under ${scopeTitle(scope)}`;
  const next = page.has_more ? page.next_cursor : null;
  const isPaged = next !== null || view.after !== undefined;
  return (
    <div className={styles.foot}>
      <p>
        {scope !== undefined &&
          `Accuracies are of the epoch that held-out images choose; an empty cell was not measured${where}. `}
        Times are UTC.
      </p>
      {isPaged && (
        <label className={styles.choice}>
          Rows
          <select
            className={styles.select}
            value={view.limit}
            onChange={(event) => onChange({ limit: event.target.value })}
          >
            {PAGE_SIZES.map((size) => (
              <option key={size} value={size}>
                {size}
              </option>
            ))}
          </select>
        </label>
      )}
      {view.after !== undefined && (
        <Button onClick={() => onChange({ after: undefined })}>First page</Button>
      )}
      {next !== null && <Button onClick={() => onChange({ after: next })}>Next page</Button>}
    </div>
  );
}

const PAST = { cancel: "cancelled", retry: "queued again", delete: "deleted", restore: "restored" };

interface OutcomeNoticeProps {
  outcome: Outcome;
  onRestore: (jobs: readonly JobSummary[]) => void;
  onClose: () => void;
}

function OutcomeNotice({ outcome, onRestore, onClose }: OutcomeNoticeProps) {
  const { action, done, refusals } = outcome;
  const [only] = done;
  const subject =
    done.length === 1 && only !== undefined ? jobTitle(only) : plural(done.length, "job");
  return (
    <div role="status">
      <Notice kind={refusals.length > 0 ? "bad" : "info"}>
        {done.length > 0 && (
          <p>
            {subject} {done.length === 1 ? "was" : "were"} {PAST[action]}.
          </p>
        )}
        {refusals.map((sentence) => (
          <p key={sentence}>{sentence}</p>
        ))}
        <p>
          {action === "delete" && done.length > 0 && (
            <Button onClick={() => onRestore(done)}>Restore</Button>
          )}
          <Button kind="plain" onClick={onClose}>
            Close
          </Button>
        </p>
      </Notice>
    </div>
  );
}
