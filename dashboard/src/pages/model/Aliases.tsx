/** Names such as champion for one version of a series: set, moved, removed. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import type { Model } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Dialog } from "@/components/controls/Dialog";
import { Field } from "@/components/controls/Field";
import { Icon } from "@/components/marks/Icon";
import { fieldError } from "@/components/records/versioned";
import { Failure } from "@/components/states/QueryState";

import { versionsQuery } from "./data";
import styles from "./model.module.css";
import { aliasHint } from "./sentences";

export function Aliases({ model, canEdit }: { model: Model; canEdit: boolean }) {
  const client = useQueryClient();
  const [isSetting, setSetting] = useState(false);
  const remove = useMutation({
    mutationFn: (alias: string) =>
      unwrap(
        api.DELETE("/v1/models/{reference}/aliases/{alias}", {
          params: { path: { reference: model.id, alias } },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ["models"] }),
  });
  return (
    <>
      <span className={styles.aliases}>
        {model.aliases.map((alias) => (
          <Alias
            key={alias}
            name={alias}
            canEdit={canEdit && !remove.isPending}
            onRemove={() => remove.mutate(alias)}
          />
        ))}
        {canEdit && model.series_version !== null && (
          <button type="button" className={styles.inline} onClick={() => setSetting(true)}>
            {model.aliases.length === 0 ? "Set an alias" : "Set another"}
          </button>
        )}
      </span>
      {remove.error !== null && <Failure error={remove.error} />}
      {isSetting && <SetAlias model={model} onClose={() => setSetting(false)} />}
    </>
  );
}

interface AliasProps {
  name: string;
  canEdit: boolean;
  onRemove: () => void;
}

function Alias({ name, canEdit, onRemove }: AliasProps) {
  return (
    <span className={styles.alias}>
      {name}
      {canEdit && (
        <button type="button" aria-label={`Remove alias ${name}`} onClick={onRemove}>
          <Icon name="close" />
        </button>
      )}
    </span>
  );
}

function SetAlias({ model, onClose }: { model: Model; onClose: () => void }) {
  const versions = useQuery(versionsQuery(model.series));
  const [alias, setAlias] = useState("champion");
  const owner = versions.data?.data.find(({ aliases }) => aliases.includes(alias));
  const set = useSetAlias(model, alias, onClose);
  const error = fieldError(set.error, "alias");
  return (
    <Dialog
      title="Set an alias"
      isOpen
      onClose={onClose}
      actions={
        <Button
          kind="primary"
          onClick={() => set.mutate()}
          whyNot={alias === "" ? "Write an alias first." : undefined}
          disabled={set.isPending}
        >
          {owner === undefined || owner.id === model.id ? "Set" : "Move"}
        </Button>
      }
    >
      <Field
        label="Alias"
        mono
        value={alias}
        onChange={(event) => setAlias(event.target.value)}
        hint={aliasHint(alias, owner?.name)}
        error={error}
      />
      <p className="small">
        <span className="mono">
          {model.series}@{alias}
        </span>{" "}
        will mean version {model.series_version}.
      </p>
      {set.error !== null && error === undefined && <Failure error={set.error} />}
    </Dialog>
  );
}

function useSetAlias(model: Model, alias: string, onDone: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap(
        api.PUT("/v1/models/{reference}/aliases/{alias}", {
          params: { path: { reference: model.id, alias } },
          body: { model: model.id },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["models"] });
      onDone();
    },
  });
}
