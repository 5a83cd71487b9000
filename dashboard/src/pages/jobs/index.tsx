/** Jobs: where is my run, and which is best? Filters, order, columns and selection: the address. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useAddress } from "@/app/address";
import { jobsQuery, LARGEST_PAGE, type JobSummary, type Status } from "@/api/queries";
import { ROOT } from "@/api/root";
import { Button, buttonClass } from "@/components/controls/Button";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { DeletedItems } from "@/components/deletion/DeletedItems";
import { QueryState } from "@/components/states/QueryState";

import { changed, cleared, readView, toQuery, type Changes, type View } from "./address";
import { choices, shownIds } from "./columns";
import { ColumnsDialog } from "./ColumnsDialog";
import { rowsParameters, useAccuracies, useBest, useCounts, type Accuracies } from "./data";
import { Filters } from "./filters/Filters";
import { JobsTable, type Select } from "./JobsTable";
import { answer, rowsText } from "./sentences";

export default function JobsPage() {
  const { parameters, change } = useAddress();
  const view = readView(parameters);
  const jobs = useQuery(jobsQuery(rowsParameters(view)));
  const rows = jobs.data?.data ?? NO_ROWS;
  const accuracies = useAccuracies(jobs.data, view);
  const show = (changes: Changes) => change((old) => changed(old, changes), { isStep: true });
  const clear = () => change(cleared, { isStep: true });
  const select: Select = (next) =>
    change((old) => changed(old, { selected: [...next(readView(old).selected)].join(",") }));
  const isFiltered = Object.keys(view.filters).length > 0;
  const parts = { view, accuracies, isFiltered };
  // The rows first: counts are asked for when they are there.
  const counts = useCounts(view.filters, jobs.data !== undefined);
  const total = counts === undefined ? null : sum([...counts.values()]);
  const isFirstPage = view.after === undefined;
  return (
    <>
      <PageHead
        title="Jobs"
        answer={counts === undefined ? "\u00a0" : <JobsAnswer counts={counts} {...parts} />}
        actions={<Actions view={view} accuracies={accuracies} rows={rows} onChange={show} />}
      />
      <Filters
        view={view}
        accuracies={accuracies}
        count={jobs.data === undefined ? "" : rowsText(rows.length, total, isFirstPage)}
        onChange={show}
        onClear={clear}
      />
      <QueryState query={jobs} rows={10}>
        {(page) => (
          <JobsTable page={page} {...parts} onChange={show} onClear={clear} onSelect={select} />
        )}
      </QueryState>
      <DeletedItems noun="jobs" title="Deleted jobs" />
    </>
  );
}

interface ActionsProps {
  view: View;
  accuracies: Accuracies;
  rows: readonly JobSummary[];
  onChange: (changes: Changes) => void;
}

function Actions({ view, accuracies, rows, onChange }: ActionsProps) {
  const [isChoosing, setChoosing] = useState(false);
  return (
    <>
      <Button onClick={() => setChoosing(true)}>Columns</Button>
      <CsvLink view={view} />
      {isChoosing && (
        <ColumnsDialog
          choices={choices(rows, accuracies)}
          shown={shownIds(view.columns, accuracies)}
          onChange={(column) => onChange({ column })}
          onClose={() => setChoosing(false)}
        />
      )}
    </>
  );
}

const NO_ROWS: never[] = [];

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

interface JobsAnswerProps {
  counts: ReadonlyMap<Status, number>;
  view: View;
  accuracies: Accuracies;
  isFiltered: boolean;
}

function JobsAnswer({ counts, view, accuracies, isFiltered }: JobsAnswerProps) {
  const job = useBest(view.filters, accuracies);
  const { scope, deciding: measure } = accuracies;
  const best =
    job === undefined || scope === undefined || measure === undefined
      ? undefined
      : { job, scope, measure };
  return <Answer parts={answer(counts, isFiltered, best)} />;
}

/** The rows of these filters in this order, as far as one request gives them. */
function CsvLink({ view }: { view: View }) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(toQuery(view.filters))) {
    if (Array.isArray(value)) for (const one of value) search.append(name, one);
    else if (typeof value === "string") search.append(name, value);
    else
      for (const [key, one] of Object.entries(value ?? {}))
        search.append(`${name}[${decodeURIComponent(key)}]`, one);
  }
  search.set("sort", view.sort);
  search.set("limit", String(LARGEST_PAGE));
  search.set("format", "csv");
  if (view.after !== undefined) search.set("after", view.after);
  return (
    <a
      className={buttonClass()}
      href={`${ROOT}/v1/jobs?${search}`}
      download="jobs.csv"
      title={`Up to ${LARGEST_PAGE} rows from here on, in this order`}
    >
      Save as CSV
    </a>
  );
}
