/** Keeps what is on screen up to date, and tells whether it is. */

import { useQueryClient } from "@tanstack/react-query";
import { createContext, use, useEffect, useRef, useState, type ReactNode } from "react";

import { queryKeys } from "../query_keys";
import { EVERYTHING, Invalidation, outdatedBy } from "./invalidation";
import { LiveConnection, type LiveEvent, type LiveState } from "./live_connection";
import { applyProgress } from "./progress";

/** The page's first queries, sent as the stream opens, are not to be sent again at once. */
const GAP_MS = 1000;

type Subscribe = (listener: (event: LiveEvent) => void) => () => void;

const StateContext = createContext<LiveState>({ status: "connecting", currentAt: undefined });
const SubscribeContext = createContext<Subscribe>(() => () => undefined);

export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>({ status: "connecting", currentAt: undefined });
  const [listeners] = useState(() => new Set<(event: LiveEvent) => void>());
  const [subscribe] = useState(() => subscriptionTo(listeners));

  useEffect(() => {
    const invalidation = new Invalidation(client);
    const connection = new LiveConnection({
      onEvent: (event) => {
        applyProgress(client, event);
        invalidation.add(outdatedBy(event));
        for (const listener of listeners) listener(event);
      },
      onGap: () => invalidation.add(EVERYTHING, GAP_MS),
      onState: (next) => {
        setState(next);
        if (next.status === "signed out") {
          void client.invalidateQueries({ queryKey: queryKeys.session() });
        }
      },
    });
    connection.start();
    return () => {
      connection.stop();
      invalidation.stop();
    };
  }, [client, listeners]);

  return (
    <SubscribeContext value={subscribe}>
      <StateContext value={state}>{children}</StateContext>
    </SubscribeContext>
  );
}

function subscriptionTo(listeners: Set<(event: LiveEvent) => void>): Subscribe {
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
export function useLiveEvents(listener: (event: LiveEvent) => void): void {
  const subscribe = use(SubscribeContext);
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  }, [listener]);
  useEffect(() => subscribe((event) => latest.current(event)), [subscribe]);
}
