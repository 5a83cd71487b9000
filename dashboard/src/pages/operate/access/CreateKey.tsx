import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import { ApiProblem } from "@/api/problem";
import { useScope, type Scope } from "@/api/session";
import { FormDialog } from "@/components/controls/Dialog";
import { Field, SelectField } from "@/components/controls/Field";
import { Failure } from "@/components/states/QueryState";

import { keysQuery, type NewKey } from "../data";
import { SCOPES } from "../sentences";
import styles from "./access.module.css";

const EXPIRIES = [
  { days: 30, label: "in 30 days" },
  { days: 90, label: "in 90 days" },
  { days: 365, label: "in a year" },
  { days: 0, label: "never" },
];

interface CreateKeyProps {
  isOpen: boolean;
  onClose: () => void;
  onCreated: (key: NewKey) => void;
}

interface Draft {
  name: string;
  scopes: readonly Scope[];
  /** Until it expires; 0: never. */
  days: number;
}

const EMPTY: Draft = { name: "", scopes: ["read", "submit"], days: 90 };

export function CreateKey({ isOpen, onClose, onCreated }: CreateKeyProps) {
  const [draft, setDraft] = useState(EMPTY);
  const client = useQueryClient();
  const creation = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/keys", { body: bodyOf(draft) })),
    onSuccess: async (key) => {
      setDraft(EMPTY);
      onCreated(key);
      onClose();
      await client.invalidateQueries({ queryKey: keysQuery.queryKey });
    },
  });
  return (
    <FormDialog
      title="Create a key"
      action="Create"
      isOpen={isOpen}
      isBusy={creation.isPending}
      onSubmit={() => creation.mutate()}
      onClose={onClose}
    >
      <KeyFields draft={draft} onChange={setDraft} error={creation.error} />
      <OtherFailure error={creation.error} />
    </FormDialog>
  );
}

function bodyOf({ name, scopes, days }: Draft) {
  return { name, scopes: [...scopes], ...(days === 0 ? {} : { expires_in_days: days }) };
}

interface KeyFieldsProps {
  draft: Draft;
  onChange: (draft: Draft) => void;
  error: Error | null;
}

function KeyFields({ draft, onChange, error }: KeyFieldsProps) {
  return (
    <>
      <Field
        label="Name"
        hint="Who or what will use it. Letters, digits, dots, underscores and hyphens."
        error={errorOf(error, "name")}
        value={draft.name}
        onChange={({ target }) => onChange({ ...draft, name: target.value })}
        autoComplete="off"
      />
      <ScopeChecks
        scopes={draft.scopes}
        onChange={(scopes) => onChange({ ...draft, scopes })}
        error={errorOf(error, "scopes")}
      />
      <SelectField
        label="Expires"
        error={errorOf(error, "expires_in_days")}
        value={draft.days}
        onChange={({ target }) => onChange({ ...draft, days: Number(target.value) })}
      >
        {EXPIRIES.map(({ days, label }) => (
          <option key={days} value={days}>
            {label}
          </option>
        ))}
      </SelectField>
    </>
  );
}

interface ScopeChecksProps {
  scopes: readonly Scope[];
  onChange: (scopes: readonly Scope[]) => void;
  error: string | undefined;
}

/** Only an operator can make another. */
function ScopeChecks({ scopes, onChange, error }: ScopeChecksProps) {
  const isOperator = useScope("operator");
  const toggle = (scope: Scope) =>
    onChange(scopes.includes(scope) ? scopes.filter((each) => each !== scope) : [...scopes, scope]);
  return (
    <fieldset className={styles.scopes}>
      <legend>Scopes</legend>
      {SCOPES.filter(({ scope }) => scope !== "operator" || isOperator).map(
        ({ scope, sentence }) => (
          <div key={scope}>
            <label>
              <input
                type="checkbox"
                checked={scopes.includes(scope)}
                onChange={() => toggle(scope)}
              />
              <span className="mono">{scope}</span>
            </label>
            <p className={styles.sentence}>{sentence}</p>
          </div>
        ),
      )}
      {error !== undefined && <p className={styles.error}>{error}</p>}
    </fieldset>
  );
}

/** The sentence on one field of a refused body. */
export function errorOf(error: Error | null, field: string): string | undefined {
  if (!(error instanceof ApiProblem)) return undefined;
  return error.errors.find(({ path }) => path[0] === field)?.message;
}

/** A failure that no field explains. */
export function OtherFailure({ error }: { error: Error | null }) {
  const hasFields = error instanceof ApiProblem && error.errors.length > 0;
  return error === null || hasFields ? null : <Failure error={error} />;
}
