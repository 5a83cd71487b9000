/** Keeps what is on screen up to date, and tells whether it is. */

import { useQueryClient, type Query } from "@tanstack/react-query";
import { createContext, use, useEffect, useRef, useState, type ReactNode } from "react";

import { queryKeys } from "../query_keys";
import { EVERYTHING, Invalidation, outdatedBy } from "./invalidation";
import { LiveConnection, type LiveEvent, type LiveState } from "./live_connection";
import { applyProgress } from "./progress";

/** The page's first queries, sent as a late stream opens, are not to be sent again at once. */
const GAP_MS = 1000;
/** How long the page waits for its stream before it does without. */
const OPENING_MS = 500;

type Listener = (event: LiveEvent) => void;
type Subscribe = (listener: Listener) => () => void;

const StateContext = createContext<LiveState>({ status: "connecting", currentAt: undefined });
const SubscribeContext = createContext<Subscribe>(() => () => undefined);

/**
 * Shows its children once the stream is open: their queries then miss no event, and none has to be
 * sent twice.
 */
export function LiveProvider({ children }: { children: ReactNode }) {
  const [listeners] = useState(() => new Set<Listener>());
  const [subscribe] = useState(() => subscriptionTo(listeners));
  const { state, isOpened } = useStream(listeners);
  return (
    <SubscribeContext value={subscribe}>
      <StateContext value={state}>{isOpened && children}</StateContext>
    </SubscribeContext>
  );
}

/** Returns the stream's state, and whether it has been open, or is too slow to be waited for. */
function useStream(listeners: ReadonlySet<Listener>): { state: LiveState; isOpened: boolean } {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>({ status: "connecting", currentAt: undefined });
  const [isOpened, setOpened] = useState(false);
  useEffect(() => {
    const invalidation = new Invalidation(client);
    let hasQueries = false;
    const open = () => {
      hasQueries = true;
      setOpened(true);
    };
    const patience = setTimeout(open, OPENING_MS);
    const connection = new LiveConnection({
      onEvent: (event) => {
        applyProgress(client, event);
        invalidation.add(outdatedBy(event));
        for (const listener of listeners) listener(event);
      },
      onGap: () => {
        if (hasQueries) invalidation.add(EVERYTHING, GAP_MS);
        else void client.invalidateQueries({ predicate: isOfPages, refetchType: "none" });
      },
      onState: (next) => {
        setState(next);
        if (next.status === "live") open();
        if (next.status === "signed out") {
          void client.invalidateQueries({ queryKey: queryKeys.session() });
        }
      },
    });
    connection.start();
    return () => {
      clearTimeout(patience);
      connection.stop();
      invalidation.stop();
    };
  }, [client, listeners]);
  return { state, isOpened };
}

/** Whether a query is none of the session's, by which this provider itself is shown. */
function isOfPages({ queryKey }: Query): boolean {
  return queryKey[0] !== queryKeys.session()[0];
}

function subscriptionTo(listeners: Set<Listener>): Subscribe {
  return (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
}

/** Whether the page is live, and as of when its data is. */
export function useLiveState(): LiveState {
  return use(StateContext);
}

/** Calls `listener` with every event of the project, while the component is on the page. */
export function useLiveEvents(listener: Listener): void {
  const subscribe = use(SubscribeContext);
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  }, [listener]);
  useEffect(() => subscribe((event) => latest.current(event)), [subscribe]);
}
