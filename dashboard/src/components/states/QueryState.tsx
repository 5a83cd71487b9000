/**
 * What stands where data will stand: gray bars, an error with its way on, or nothing yet.
 * Old data stays until new is there; an error beside old data is shown above it.
 */

import type { UseQueryResult } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";

import { ApiProblem } from "@/api/problem";

import { Button } from "../controls/Button";
import { Notice } from "./Notice";
import styles from "./states.module.css";

/** Shorter waits show nothing: bars would only flicker. */
const BARS_AFTER_MS = 300;

interface QueryStateProps<Data> {
  query: UseQueryResult<Data>;
  /** Gray bars while loading: as many as rows are likely. */
  rows?: number;
  children: (data: Data) => ReactNode;
}

export function QueryState<Data>({ query, rows = 3, children }: QueryStateProps<Data>) {
  const { data, error, refetch } = query;
  const failure = error !== null && <Failure error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return failure || <Loading rows={rows} />;
  return (
    <>
      {failure}
      {children(data)}
    </>
  );
}

/** Gray bars in the rows' real height, after 300 ms. */
export function Loading({ rows = 3 }: { rows?: number }) {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), BARS_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className={styles.loading} role="status" aria-busy="true">
      <span className="vh">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className={styles.bar}>
          {isLate && <span />}
        </div>
      ))}
    </div>
  );
}

/** The problem's sentence, its request id, and "Try again". */
export function Failure({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  const requestId = error instanceof ApiProblem ? error.requestId : undefined;
  return (
    <div role="alert" className={styles.failure}>
      <Notice kind="bad">
        <p>{error.message}</p>
        <p className={styles.way}>
          {onRetry !== undefined && <Button onClick={onRetry}>Try again</Button>}
          {requestId !== undefined && (
            <span className="small dim">
              Request <span className="mono">{requestId}</span>
            </span>
          )}
        </p>
      </Notice>
    </div>
  );
}

/** One sentence on what would be here, and one action. */
export function Empty({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <p>{children}</p>
      {action}
    </div>
  );
}
