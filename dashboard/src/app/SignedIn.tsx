import { useQuery } from "@tanstack/react-query";
import { Navigate, useLocation } from "react-router";

import { LiveProvider } from "@/api/live/LiveProvider";
import { isSignedOut } from "@/api/problem";
import { sessionQuery } from "@/api/session";
import { Failure } from "@/components/states/QueryState";

import { Shell } from "./Shell";

/** What the sign-in page is told by the page that leads to it. */
export interface SignInState {
  hasEnded: boolean;
}

/** Pages that need a session; without one, the sign-in page, and then back. */
export function SignedIn() {
  const location = useLocation();
  const session = useQuery(sessionQuery());
  if (isSignedOut(session.error)) {
    const next = location.pathname + location.search + location.hash;
    const search = next === "/" ? "" : `?next=${encodeURIComponent(next)}`;
    // A session that was there has ended under an open page, which its reader has to be told.
    const state: SignInState = { hasEnded: session.data !== undefined };
    return <Navigate to={`/sign-in${search}`} state={state} replace />;
  }
  if (session.data === undefined) {
    return (
      session.error && <Failure error={session.error} onRetry={() => void session.refetch()} />
    );
  }
  return (
    <LiveProvider>
      <Shell session={session.data} />
    </LiveProvider>
  );
}
