/** API keys of the project: who may use it. A secret is shown once, when its key is created. */

import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { useAddress } from "@/app/address";
import { api, unwrap } from "@/api/client";
import { useSession } from "@/api/session";
import { useNow } from "@/app/clock";
import { Button } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { Segmented } from "@/components/controls/Segmented";
import { StatusMark } from "@/components/marks/Status";
import { Section } from "@/components/page/Section";
import { Empty, Failure, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Id } from "@/components/text/Id";
import { Age, Time } from "@/components/text/Time";

import { keysQuery, type Key, type NewKey } from "../data";
import { expiryNote, keyState } from "../sentences";
import styles from "./access.module.css";
import { CreateKey } from "./CreateKey";
import { MoreButton } from "./MoreButton";
import { Secret } from "./Secret";

const VIEWS = [
  { value: "usable", label: "Usable" },
  { value: "all", label: "All" },
];

export function Keys() {
  const [created, setCreated] = useState<NewKey>();
  const [isCreating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState<Key>();
  const { parameters, set } = useAddress();
  const view = parameters.get("keys") === "all" ? "all" : "usable";
  const show = (next: string) => set("keys", next === "all" ? next : undefined);
  return (
    <Section
      title="Keys"
      note="Times are UTC. A revoked key ends its sessions and its open streams."
      more={<Button onClick={() => setCreating(true)}>Create a key</Button>}
    >
      {created !== undefined && (
        <Secret
          title={`Key ${created.name}`}
          secret={created.secret}
          onDone={() => setCreated(undefined)}
        />
      )}
      <p className={styles.views}>
        <Segmented label="Which keys" options={VIEWS} value={view} onChange={show} />
      </p>
      <KeyTable isAll={view === "all"} onRevoke={setRevoking} />
      <CreateKey
        isOpen={isCreating}
        onClose={() => setCreating(false)}
        onCreated={(key) => setCreated(key)}
      />
      <RevokeDialog of={revoking} onClose={() => setRevoking(undefined)} />
    </Section>
  );
}

function KeyTable({ isAll, onRevoke }: { isAll: boolean; onRevoke: (key: Key) => void }) {
  const keys = useInfiniteQuery(keysQuery);
  const now = useNow();
  const columns = columnsWith(now, onRevoke);
  return (
    <QueryState query={keys}>
      {({ pages }) => {
        const rows = pages
          .flatMap((page) => page.data)
          .filter((key) => isAll || ["usable", "ending"].includes(keyState(key, now)));
        return (
          <>
            {rows.length === 0 ? (
              <Empty>No key can be used.</Empty>
            ) : (
              <DataTable
                label="List of keys"
                rows={rows}
                columns={columns}
                rowId={({ id }) => id}
              />
            )}
            <MoreButton query={keys} noun="keys" />
          </>
        );
      }}
    </QueryState>
  );
}

function columnsWith(now: Date, onRevoke: (key: Key) => void): Column<Key>[] {
  return [
    ...WHO,
    { id: "state", title: "State", cell: (key) => <KeyMark of={key} now={now} /> },
    ...WHEN,
    {
      id: "revoke",
      title: <span className="vh">Action</span>,
      kind: "number",
      cell: (key) =>
        key.revoked_at === null && (
          <Button onClick={() => onRevoke(key)} aria-label={`Revoke ${key.name}`}>
            Revoke
          </Button>
        ),
    },
  ];
}

const WHO: Column<Key>[] = [
  {
    id: "name",
    title: "Name",
    isRowHead: true,
    cell: ({ name }) => name,
    sortBy: ({ name }) => name,
  },
  {
    id: "scopes",
    title: "Scopes",
    cell: ({ scopes }) => <span className="mono nowrap">{scopes.join(", ")}</span>,
  },
];

const WHEN: Column<Key>[] = [
  {
    id: "created",
    title: "Created",
    kind: "number",
    hide: "medium",
    cell: ({ created_at: at }) => <Time at={at} />,
    sortBy: ({ created_at: at }) => at,
  },
  {
    id: "used",
    title: "Last used",
    kind: "number",
    hide: "phone",
    cell: ({ last_used_at: at }) => (at === null ? "never" : <Age at={at} />),
    sortBy: ({ last_used_at: at }) => at ?? undefined,
  },
  { id: "id", title: "Id", hide: "medium", cell: ({ id }) => <Id id={id} /> },
];

function KeyMark({ of: key, now }: { of: Key; now: Date }) {
  const state = keyState(key, now);
  if (state === "revoked" || state === "expired") {
    return (
      <StatusMark icon="cancelled" tone="neutral">
        {state === "revoked" ? "Revoked" : "Expired"}
      </StatusMark>
    );
  }
  if (state === "ending") {
    return (
      <StatusMark icon="warning" tone="warn">
        Usable, {expiryNote(key, now)}
      </StatusMark>
    );
  }
  return (
    <StatusMark icon="succeeded" tone="ok">
      Usable, {expiryNote(key, now)}
    </StatusMark>
  );
}

function RevokeDialog({ of: key, onClose }: { of: Key | undefined; onClose: () => void }) {
  const client = useQueryClient();
  const own = useSession()?.key_name;
  const revocation = useMutation({
    mutationFn: (id: string) =>
      unwrap(api.DELETE("/v1/keys/{key_id}", { params: { path: { key_id: id } } })),
    onSuccess: async () => {
      onClose();
      await client.invalidateQueries({ queryKey: keysQuery.queryKey });
    },
  });
  if (key === undefined) return null;
  return (
    <ConfirmDialog
      title={`Revoke ${key.name}?`}
      action="Revoke"
      isOpen
      isBusy={revocation.isPending}
      onConfirm={() => revocation.mutate(key.id)}
      onClose={onClose}
    >
      <p>Whoever uses it is refused from now on. This cannot be undone.</p>
      {own === key.name && <p>You have signed in with a key of this name: it may be your own.</p>}
      {revocation.error !== null && <Failure error={revocation.error} />}
    </ConfirmDialog>
  );
}
