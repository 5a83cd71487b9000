/** Sweeps: jobs submitted together, and how far they are. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";

import type { Sweep } from "@/api/queries";
import { Button, LinkButton } from "@/components/controls/Button";
import { Meter } from "@/components/marks/Meter";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { Empty, Failure, Loading } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

import { allSweepsQuery } from "./data";
import { answer, endedCount, progressText, sweepTitle } from "./sentences";
import styles from "./sweeps.module.css";

export default function SweepsPage() {
  const pages = useInfiniteQuery(allSweepsQuery);
  const sweeps = useMemo(() => pages.data?.pages.flatMap(({ data }) => data), [pages.data]);
  return (
    <>
      <PageHead
        title="Sweeps"
        answer={<Answer parts={sweeps === undefined ? ["\u00a0"] : answer(sweeps)} />}
      />
      {pages.error !== null && <Failure error={pages.error} onRetry={() => void pages.refetch()} />}
      {sweeps === undefined ? pages.isPending && <Loading rows={4} /> : <List rows={sweeps} />}
      {pages.hasNextPage && (
        <Button onClick={() => void pages.fetchNextPage()} disabled={pages.isFetchingNextPage}>
          Load more
        </Button>
      )}
    </>
  );
}

function List({ rows }: { rows: readonly Sweep[] }) {
  if (rows.length === 0) {
    return (
      <Empty action={<LinkButton to="/submit">New job</LinkButton>}>
        No sweeps yet. A sweep is one submission of many jobs: three seeds make one.
      </Empty>
    );
  }
  return <DataTable label="Sweeps" rows={rows} columns={COLUMNS} rowId={({ id }) => id} />;
}

const COLUMNS: Column<Sweep>[] = [
  {
    id: "name",
    title: "Sweep",
    isRowHead: true,
    sortBy: sweepTitle,
    cell: (sweep) => (
      <Link className={styles.name} to={`/sweeps/${sweep.id}`} title={sweepTitle(sweep)}>
        {sweepTitle(sweep)}
      </Link>
    ),
  },
  {
    id: "progress",
    title: "Progress",
    cell: (sweep) => (
      <span className={styles.progress}>
        {!sweep.terminal && (
          <Meter value={endedCount(sweep)} max={sweep.size} label={progressText(sweep)} />
        )}
        <span className="small dim">{progressText(sweep)}</span>
      </span>
    ),
  },
  {
    id: "size",
    title: "Jobs",
    kind: "number",
    hide: "phone",
    sortBy: ({ size }) => size,
    cell: ({ size }) => formatNumber(size),
  },
  {
    id: "created",
    title: "Created",
    kind: "number",
    sortBy: ({ created_at: at }) => at,
    cell: ({ created_at: at }) => <Time at={at} />,
  },
];
