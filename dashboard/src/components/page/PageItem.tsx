/** The one item that a page is about. While it is missing, the page still has its head. */

import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { ApiProblem } from "@/api/problem";

import { LinkButton } from "../controls/Button";
import { Empty, Failure, QueryState } from "../states/QueryState";
import { PageHead } from "./PageHead";

interface PageItemProps<Data> {
  query: UseQueryResult<Data>;
  children: (data: Data) => ReactNode;
}

export function PageItem<Data>({ query, children }: PageItemProps<Data>) {
  const { data, error, refetch } = query;
  // Also where it was shown until now: somebody else has deleted it.
  if (error instanceof ApiProblem && error.status === 404) return <Missing error={error} />;
  if (data !== undefined || error === null) {
    return (
      <QueryState query={query} rows={8}>
        {children}
      </QueryState>
    );
  }
  return (
    <>
      <PageHead title="Not loaded" />
      <Failure error={error} onRetry={() => void refetch()} />
    </>
  );
}

/** What was here may have been deleted, or belongs to another project. */
function Missing({ error }: { error: ApiProblem }) {
  return (
    <>
      <PageHead title="Not found" />
      <Empty action={<LinkButton to="/">Go to the overview</LinkButton>}>{error.message}</Empty>
    </>
  );
}
