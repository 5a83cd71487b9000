/** Data sets: what there is to train and test on. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import type { Dataset } from "@/api/queries";
import { useScope } from "@/api/session";
import { Button } from "@/components/controls/Button";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { DeletedItems } from "@/components/deletion/DeletedItems";
import { DataTable } from "@/components/table/DataTable";
import { Empty, Failure, Loading } from "@/components/states/QueryState";

import { COLUMNS } from "./columns";
import { allDatasetsQuery } from "./data";
import { ImportDialog } from "./import/ImportDialog";
import { answer } from "./sentences";

export default function DatasetsPage() {
  const pages = useInfiniteQuery(allDatasetsQuery);
  const [isImporting, setImporting] = useState(false);
  const canSubmit = useScope("submit");
  const datasets = useMemo(() => pages.data?.pages.flatMap(({ data }) => data), [pages.data]);
  return (
    <>
      <PageHead
        title="Data sets"
        answer={<Answer parts={datasets === undefined ? ["\u00a0"] : answer(datasets)} />}
        actions={canSubmit && <Button onClick={() => setImporting(true)}>Import</Button>}
      />
      {pages.error !== null && <Failure error={pages.error} onRetry={() => void pages.refetch()} />}
      {datasets === undefined ? pages.isPending && <Loading rows={4} /> : <List rows={datasets} />}
      {pages.hasNextPage && (
        <Button onClick={() => void pages.fetchNextPage()} disabled={pages.isFetchingNextPage}>
          Load more
        </Button>
      )}
      <DeletedItems noun="datasets" title="Deleted data sets" />
      {isImporting && <ImportDialog onClose={() => setImporting(false)} />}
    </>
  );
}

function List({ rows }: { rows: readonly Dataset[] }) {
  if (rows.length === 0) return <Empty>No data sets yet. Import an archive of images.</Empty>;
  return <DataTable label="Data sets" rows={rows} columns={COLUMNS} rowId={({ id }) => id} />;
}
