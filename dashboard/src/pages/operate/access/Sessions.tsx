/** Who is signed in: for admins all sessions of the project, else one's own. Each can be ended. */

import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import { queryKeys } from "@/api/query_keys";
import { useScope } from "@/api/session";
import { Button } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { Section } from "@/components/page/Section";
import { Empty, Failure, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Age, Time } from "@/components/text/Time";

import { sessionsQuery, type ListedSession } from "../data";
import { MoreButton } from "./MoreButton";

export function Sessions() {
  const isAdmin = useScope("admin");
  const [ending, setEnding] = useState<ListedSession>();
  const sessions = useInfiniteQuery(sessionsQuery);
  const note = isAdmin ? "everybody who is signed in to this project" : "your own";
  return (
    <Section title="Sessions" note={note}>
      <QueryState query={sessions}>
        {({ pages }) => {
          const rows = pages.flatMap((page) => page.data);
          if (rows.length === 0) return <Empty>Nobody is signed in.</Empty>;
          return (
            <>
              <DataTable
                label="List of sessions"
                rows={rows}
                columns={columnsWith(setEnding)}
                rowId={({ id }) => id}
              />
              <MoreButton query={sessions} noun="sessions" />
            </>
          );
        }}
      </QueryState>
      <EndDialog of={ending} onClose={() => setEnding(undefined)} />
    </Section>
  );
}

/** The person, or the key. */
function nameOf({ subject, key_name: key }: ListedSession): string {
  return subject ?? key ?? "";
}

const COLUMNS: Column<ListedSession>[] = [
  {
    id: "who",
    title: "Who",
    isRowHead: true,
    cell: (session) => (
      <>
        {session.subject === null && "key "}
        {nameOf(session)}
        {session.current && <span className="dim"> (this session)</span>}
      </>
    ),
  },
  {
    id: "scopes",
    title: "Scopes",
    hide: "phone",
    cell: ({ scopes }) => <span className="mono nowrap">{scopes.join(", ")}</span>,
  },
  {
    id: "begun",
    title: "Signed in",
    kind: "number",
    hide: "medium",
    cell: ({ created_at: at }) => <Time at={at} />,
  },
  {
    id: "used",
    title: "Last used",
    kind: "number",
    cell: ({ last_used_at: at }) => <Age at={at} />,
  },
  {
    id: "ends",
    title: "Ends",
    kind: "number",
    hide: "medium",
    cell: ({ expires_at: at }) => <Time at={at} />,
  },
];

function columnsWith(onEnd: (session: ListedSession) => void): Column<ListedSession>[] {
  const end: Column<ListedSession> = {
    id: "end",
    title: <span className="vh">Action</span>,
    kind: "number",
    cell: (session) => (
      <Button onClick={() => onEnd(session)} aria-label={`End the session of ${nameOf(session)}`}>
        End
      </Button>
    ),
  };
  return [...COLUMNS, end];
}

function EndDialog({
  of: session,
  onClose,
}: {
  of: ListedSession | undefined;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const end = useMutation({
    mutationFn: (id: string) =>
      unwrap(api.DELETE("/v1/sessions/{session_id}", { params: { path: { session_id: id } } })),
    onSuccess: async ({ current }) => {
      onClose();
      // Without a session there is no list: the session's own query leads to the sign-in page.
      const queryKey = current ? queryKeys.session() : sessionsQuery.queryKey;
      await client.invalidateQueries({ queryKey });
    },
  });
  if (session === undefined) return null;
  return (
    <ConfirmDialog
      title={`End the session of ${nameOf(session)}?`}
      action="End"
      isOpen
      isBusy={end.isPending}
      onConfirm={() => end.mutate(session.id)}
      onClose={onClose}
    >
      <p>
        {session.current
          ? "It is this one: you will have to sign in again."
          : "That browser has to sign in again."}
      </p>
      {end.error !== null && <Failure error={end.error} />}
    </ConfirmDialog>
  );
}
