/** Name, notes and metadata, edited in place. Another person's change is not overwritten. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api } from "@/api/client";
import { ApiProblem } from "@/api/problem";
import type { Job } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { useScope } from "@/api/session";
import { Button } from "@/components/controls/Button";
import { Field, FieldFrame } from "@/components/controls/Field";
import { Note, Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { Failure } from "@/components/states/QueryState";
import { Notice } from "@/components/states/Notice";

import styles from "../job.module.css";
import { metadataPatch, metadataText, parseMetadata } from "./metadata";

const PRECONDITION_FAILED = 412;

export function NotesSection({ job }: { job: Job }) {
  const mayEdit = useScope("submit");
  // Read at the beginning: what is edited and its tag belong together.
  const base = useMutation({ mutationFn: () => readBase(job.id) });
  const metadata = Object.entries(job.metadata);
  const more = mayEdit && base.data === undefined && (
    <Button onClick={() => base.mutate()} disabled={base.isPending}>
      Edit
    </Button>
  );
  return (
    <Section title="Notes and metadata" more={more || undefined}>
      {base.error !== null && <Failure error={base.error} />}
      {base.data !== undefined ? (
        <Editor base={base.data} onClose={() => base.reset()} />
      ) : (
        <>
          {job.notes !== null && <p className={styles.notes}>{job.notes}</p>}
          {metadata.length > 0 && (
            <KeyValues facts={metadata.map(([label, value]) => ({ label, value }))} />
          )}
          {job.notes === null && metadata.length === 0 && <Note>None yet.</Note>}
        </>
      )}
    </Section>
  );
}

interface Draft {
  name: string;
  notes: string;
  metadata: string;
}

function Editor({ base, onClose }: { base: Base; onClose: () => void }) {
  const { job } = base;
  const [draft, setDraft] = useState<Draft>({
    name: job.name ?? "",
    notes: job.notes ?? "",
    metadata: metadataText(job.metadata),
  });
  const parsed = parseMetadata(draft.metadata);
  const save = useSave(base, onClose);
  const problem = "problem" in parsed ? parsed.problem : fieldProblem(save.error, "metadata");
  return (
    <form
      className={styles.editor}
      onSubmit={(event) => {
        event.preventDefault();
        if ("metadata" in parsed) save.mutate(draft);
      }}
    >
      <Fields draft={draft} onChange={setDraft} error={save.error} problem={problem} />
      <SaveProblem error={save.error} onAgain={() => save.reset()} />
      <p className={styles.editorActions}>
        <Button kind="primary" type="submit" disabled={save.isPending}>
          Save
        </Button>
        <Button onClick={onClose}>Discard</Button>
      </p>
    </form>
  );
}

interface FieldsProps {
  draft: Draft;
  onChange: (draft: Draft) => void;
  error: Error | null;
  /** What is wrong with the metadata. */
  problem: string | undefined;
}

function Fields({ draft, onChange, error, problem }: FieldsProps) {
  const set = (change: Partial<Draft>) => onChange({ ...draft, ...change });
  return (
    <>
      <Field
        label="Name"
        value={draft.name}
        maxLength={200}
        error={fieldProblem(error, "name")}
        onChange={(event) => set({ name: event.currentTarget.value })}
      />
      <Area
        label="Notes"
        hint="Markdown, at most 10,000 bytes."
        error={fieldProblem(error, "notes")}
        value={draft.notes}
        onChange={(notes) => set({ notes })}
      />
      <Area
        label="Metadata"
        hint="One “key: value” a line."
        error={problem}
        value={draft.metadata}
        onChange={(metadata) => set({ metadata })}
      />
    </>
  );
}

function fieldProblem(error: Error | null, field: string): string | undefined {
  if (!(error instanceof ApiProblem)) return undefined;
  return error.errors.find(({ path }) => path[0] === field)?.message;
}

function SaveProblem({ error, onAgain }: { error: Error | null; onAgain: () => void }) {
  if (error === null) return null;
  if (!(error instanceof ApiProblem)) return <Failure error={error} />;
  if (error.errors.some(({ path }) => path.length > 0)) return null; // said at its field
  if (error.status !== PRECONDITION_FAILED) return <Failure error={error} />;
  return (
    <Notice kind="warning" title="Somebody else has changed it meanwhile">
      <p>
        Nothing was saved. Copy what you wrote, discard it, and edit what is there now.{" "}
        <Button onClick={onAgain}>Close</Button>
      </p>
    </Notice>
  );
}

/** A job as an editor began with it, and its tag: a change is refused if it has another now. */
interface Base {
  job: Job;
  etag: string | undefined;
}

async function readBase(id: string): Promise<Base> {
  const { data, response } = await api.GET("/v1/jobs/{job_id}", {
    params: { path: { job_id: id } },
  });
  return { job: data as Job, etag: response.headers.get("ETag") ?? undefined };
}

function useSave({ job, etag }: Base, onSaved: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ name, notes, metadata }: Draft) => {
      const parsed = parseMetadata(metadata);
      const now = "metadata" in parsed ? parsed.metadata : job.metadata;
      const { data } = await api.PATCH("/v1/jobs/{job_id}", {
        params: {
          path: { job_id: job.id },
          ...(etag === undefined ? {} : { header: { "If-Match": etag } }),
        },
        body: {
          name: name === "" ? null : name,
          notes: notes === "" ? null : notes,
          metadata: metadataPatch(job.metadata, now),
        },
      });
      return data;
    },
    onSuccess: (changed) => {
      client.setQueryData(queryKeys.item("jobs", job.id, "job"), changed);
      onSaved();
    },
  });
}

interface AreaProps {
  label: string;
  hint: string;
  error: string | undefined;
  value: string;
  onChange: (value: string) => void;
}

function Area({ label, hint, error, value, onChange }: AreaProps) {
  return (
    <FieldFrame label={label} aside={undefined} hint={hint} error={error}>
      {(described) => (
        <textarea
          {...described}
          className={styles.area}
          rows={5}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </FieldFrame>
  );
}
