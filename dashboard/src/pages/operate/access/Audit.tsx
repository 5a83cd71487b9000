/** The audit log: what was changed or refused, by whom, from where. Its filters are in the address. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useAddress } from "@/app/address";
import { ROOT } from "@/api/root";
import { buttonClass } from "@/components/controls/Button";
import { Field, SelectField } from "@/components/controls/Field";
import { Section } from "@/components/page/Section";
import { Empty, QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Id } from "@/components/text/Id";
import { Time } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

import { auditQuery, keysQuery, type AuditEntry, type AuditFilters } from "../data";
import { PERIODS, sinceOf } from "../sentences";
import styles from "./access.module.css";
import { MoreButton } from "./MoreButton";

const ACTIONS = [
  ...["POST /v1/jobs", "POST /v1/sweeps", "DELETE /v1/jobs/{job_id}", "POST /v1/keys"],
  ...["DELETE /v1/keys/{key_id}", "POST /v1/session", "POST /v1/workers/{worker}/drain"],
];
const HTTP_ERROR = 400;

export function Audit() {
  const { parameters, set } = useAddress();
  const [opened] = useState(() => Date.now());
  const filters = filtersOf(parameters, opened);
  return (
    <Section
      title="Audit log"
      note="Changes, and requests that were refused, newest first. Times are UTC."
      more={
        <a className={buttonClass()} href={csvAddress(filters)} download="audit.csv">
          CSV
        </a>
      }
    >
      <Filters parameters={parameters} set={set} />
      <Entries filters={filters} />
    </Section>
  );
}

function filtersOf(parameters: URLSearchParams, opened: number): AuditFilters {
  const action = parameters.get("action");
  const key = parameters.get("key");
  const since = sinceOf(parameters.get("since") ?? "", opened);
  return {
    ...(action === null ? {} : { action }),
    ...(key === null ? {} : { key }),
    ...(since === undefined ? {} : { since }),
  };
}

function csvAddress(filters: AuditFilters): string {
  return `${ROOT}/v1/audit?${new URLSearchParams({ format: "csv", ...filters }).toString()}`;
}

interface FiltersProps {
  parameters: URLSearchParams;
  set: (name: string, value: string) => void;
}

function Filters({ parameters, set }: FiltersProps) {
  return (
    <div className={styles.filters}>
      <Field
        label="Action"
        placeholder="any"
        list="audit-actions"
        mono
        value={parameters.get("action") ?? ""}
        onChange={({ target }) => set("action", target.value)}
        autoComplete="off"
        spellCheck={false}
      />
      <datalist id="audit-actions">
        {ACTIONS.map((action) => (
          <option key={action} value={action} />
        ))}
      </datalist>
      <KeyFilter value={parameters.get("key") ?? ""} onChange={(key) => set("key", key)} />
      <SelectField
        label="Since"
        value={parameters.get("since") ?? ""}
        onChange={({ target }) => set("since", target.value)}
      >
        {PERIODS.map(({ id, label }) => (
          <option key={id} value={id}>
            {label}
          </option>
        ))}
      </SelectField>
    </div>
  );
}

function KeyFilter({ value, onChange }: { value: string; onChange: (key: string) => void }) {
  const keys = useInfiniteQuery(keysQuery).data?.pages.flatMap((page) => page.data) ?? [];
  const isKnown = value === "" || keys.some(({ id }) => id === value);
  return (
    <SelectField label="Key" value={value} onChange={({ target }) => onChange(target.value)}>
      <option value="">any</option>
      {!isKnown && <option value={value}>{value}</option>}
      {keys.map(({ id, name }) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </SelectField>
  );
}

function Entries({ filters }: { filters: AuditFilters }) {
  const entries = useInfiniteQuery(auditQuery(filters));
  const keys = useInfiniteQuery(keysQuery).data?.pages.flatMap((page) => page.data) ?? [];
  const names = new Map(keys.map(({ id, name }) => [id, name]));
  return (
    <QueryState query={entries} rows={8}>
      {({ pages }) => {
        const rows = pages.flatMap((page) => page.data);
        if (rows.length === 0) return <Empty>No entry fits these filters.</Empty>;
        return (
          <>
            <DataTable
              label="Audit entries"
              rows={rows}
              columns={columnsWith(names)}
              rowId={({ id }) => id}
              isSortedByService
              tall
            />
            <MoreButton query={entries} noun="entries" />
          </>
        );
      }}
    </QueryState>
  );
}

function columnsWith(names: ReadonlyMap<string, string>): Column<AuditEntry>[] {
  return [
    { id: "at", title: "When", cell: ({ at }) => <Time at={at} /> },
    {
      id: "action",
      title: "Action",
      isRowHead: true,
      cell: ({ action }) => <span className="mono">{action}</span>,
    },
    {
      id: "target",
      title: "Target",
      hide: "phone",
      cell: ({ target }) => target !== null && <span className="mono">{target}</span>,
    },
    {
      id: "key",
      title: "Key",
      hide: "phone",
      cell: ({ key_id: id }) =>
        id === null ? <span className="dim">none</span> : (names.get(id) ?? <Id id={id} />),
    },
    { id: "outcome", title: "Outcome", cell: (entry) => <Outcome of={entry} /> },
    {
      id: "address",
      title: "From",
      hide: "medium",
      cell: ({ address }) => address !== null && <span className="mono">{address}</span>,
    },
    {
      id: "request",
      title: "Request",
      hide: "medium",
      cell: ({ request_id: id }) => <Id id={id} />,
    },
  ];
}

function Outcome({ of: { status, code, times } }: { of: AuditEntry }) {
  const isRefused = status >= HTTP_ERROR;
  return (
    <span className={isRefused ? "warn-text" : undefined}>
      <span className="nowrap">
        {isRefused ? "refused" : "done"} {status}
      </span>
      {code !== null && <span className="sub">{code.replaceAll("_", " ")}</span>}
      {times > 1 && <span className="sub">{formatNumber(times)} times within an hour</span>}
    </span>
  );
}
