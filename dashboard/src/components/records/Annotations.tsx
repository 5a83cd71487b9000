/** Notes and metadata of a model or a data set, edited in place. Notes are shown as they are. */

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { Button } from "../controls/Button";
import { FieldFrame } from "../controls/Field";
import { Section } from "../page/Section";
import { Failure } from "../states/QueryState";
import { isWrong, metadataPatch, metadataText, parseMetadata, type Metadata } from "./metadata";
import styles from "./records.module.css";
import { fieldError, isOutdated } from "./versioned";

export interface AnnotationPatch {
  notes?: string | null;
  metadata?: Record<string, string | null>;
}

interface AnnotationsProps {
  notes: string | null;
  metadata: Metadata;
  canEdit: boolean;
  /** Rejects with ApiProblem. */
  onSave: (patch: AnnotationPatch) => Promise<unknown>;
  /** What was shown is not what is there: read it again. */
  onOutdated: () => void;
}

export function Annotations(props: AnnotationsProps) {
  const { notes, metadata, canEdit } = props;
  const [isEditing, setEditing] = useState(false);
  const isEmpty = (notes ?? "") === "" && Object.keys(metadata).length === 0;
  const edit = canEdit && !isEditing && (
    <Button onClick={() => setEditing(true)} aria-label="Edit notes and metadata">
      Edit
    </Button>
  );
  return (
    <Section title="Notes and metadata" more={edit}>
      {isEditing ? (
        <Editor {...props} onClose={() => setEditing(false)} />
      ) : (
        <div className={styles.edit}>
          {isEmpty && <p className="small dim">None.</p>}
          {(notes ?? "") !== "" && <p className={styles.notes}>{notes}</p>}
          <Pairs metadata={metadata} />
        </div>
      )}
    </Section>
  );
}

function Pairs({ metadata }: { metadata: Metadata }) {
  const entries = Object.entries(metadata);
  if (entries.length === 0) return null;
  return (
    <dl className={styles.pairs}>
      {entries.map(([key, value]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

type EditorProps = AnnotationsProps & { onClose: () => void };

function Editor(props: EditorProps) {
  const [notes, setNotes] = useState(props.notes ?? "");
  const [text, setText] = useState(metadataText(props.metadata));
  const parsed = parseMetadata(text);
  const wrong = isWrong(parsed) ? `Line ${parsed.wrongLine} is no key=value.` : undefined;
  const save = useSave(props, notes);
  return (
    <form
      className={styles.edit}
      onSubmit={(event) => {
        event.preventDefault();
        if (!isWrong(parsed)) save.mutate(parsed);
      }}
    >
      <Area
        label="Notes"
        aside="Markdown, shown as written"
        rows={6}
        value={notes}
        onChange={setNotes}
        error={fieldError(save.error, "notes")}
      />
      <Area
        label="Metadata"
        aside="one key=value a line"
        rows={4}
        value={text}
        onChange={setText}
        error={wrong ?? fieldError(save.error, "metadata")}
      />
      {save.error !== null && <SaveFailure error={save.error} onOutdated={props.onOutdated} />}
      <Buttons whyNot={wrong} isBusy={save.isPending} onClose={props.onClose} />
    </form>
  );
}

function useSave({ metadata, onSave, onClose }: EditorProps, notes: string) {
  return useMutation({
    mutationFn: (next: Metadata) =>
      onSave({ notes: notes === "" ? null : notes, metadata: metadataPatch(metadata, next) }),
    onSuccess: onClose,
  });
}

interface ButtonsProps {
  whyNot: string | undefined;
  isBusy: boolean;
  onClose: () => void;
}

function Buttons({ whyNot, isBusy, onClose }: ButtonsProps) {
  return (
    <div className={styles.buttons}>
      <Button type="submit" whyNot={whyNot} disabled={isBusy}>
        Save
      </Button>
      <Button kind="plain" onClick={onClose}>
        Discard
      </Button>
    </div>
  );
}

function SaveFailure({ error, onOutdated }: { error: Error; onOutdated: () => void }) {
  if (!isOutdated(error)) return <Failure error={error} />;
  return (
    <div className={styles.buttons} role="alert">
      <span className="small warn-text">
        Somebody has changed it since. What you have written is kept here.
      </span>
      <Button kind="plain" onClick={onOutdated}>
        Save over it next time
      </Button>
    </div>
  );
}

interface AreaProps {
  label: string;
  aside: string;
  rows: number;
  value: string;
  onChange: (value: string) => void;
  error: string | undefined;
}

export function Area({ label, aside, rows, value, onChange, error }: AreaProps) {
  return (
    <FieldFrame label={label} aside={aside} hint={undefined} error={error}>
      {(described) => (
        <textarea
          {...described}
          className={styles.area}
          rows={rows}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </FieldFrame>
  );
}
