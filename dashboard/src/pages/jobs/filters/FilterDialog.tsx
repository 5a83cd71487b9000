/** All filters of REST in one form. */

import { useQuery } from "@tanstack/react-query";
import { useId, useState, type SubmitEvent } from "react";

import { datasetsQuery, LARGEST_PAGE, sweepsQuery, type Dataset } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Dialog } from "@/components/controls/Dialog";
import { Field, SelectField } from "@/components/controls/Field";
import { JOB_STATUSES } from "@/components/marks/Status";
import { kindTitle, methodTitle, shortId } from "@/format/names";

import { STATUSES, type Changes, type Filters } from "../address";
import { architecturesQuery, methodsQuery, type Accuracies } from "../data";
import { filterChanges, formError } from "./filter_form";
import styles from "../jobs.module.css";

const KINDS = [
  "distillation",
  "adversarial_training",
  "evaluation",
  "import_model",
  "import_dataset",
] as const;

interface FilterDialogProps {
  filters: Filters;
  accuracies: Accuracies;
  onApply: (changes: Changes) => void;
  onClose: () => void;
}

export function FilterDialog({ filters, accuracies, onApply, onClose }: FilterDialogProps) {
  const formId = useId();
  const [error, setError] = useState<string>();
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const problem = formError(form);
    setError(problem);
    if (problem !== undefined) return;
    onApply(filterChanges(form));
    onClose();
  };
  return (
    <Dialog
      title="Filter jobs"
      isOpen
      wide
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button kind="primary" type="submit" form={formId}>
            Show jobs
          </Button>
        </>
      }
    >
      <form id={formId} className={styles.form} onSubmit={submit}>
        <Statuses chosen={filters.status ?? []} />
        <Kinds chosen={filters.kind ?? []} />
        <Choices filters={filters} />
        <MetadataFields />
        <ResultFields accuracies={accuracies} error={error} />
      </form>
    </Dialog>
  );
}

function Statuses({ chosen }: { chosen: readonly string[] }) {
  return (
    <fieldset className={`${styles.checks ?? ""} ${styles.wide ?? ""}`}>
      <legend>Status</legend>
      {STATUSES.map((status) => (
        <label key={status}>
          <input
            type="checkbox"
            name="status"
            value={status}
            defaultChecked={chosen.includes(status)}
          />
          {JOB_STATUSES[status].word}
        </label>
      ))}
    </fieldset>
  );
}

function Kinds({ chosen }: { chosen: readonly string[] }) {
  return (
    <fieldset className={`${styles.checks ?? ""} ${styles.wide ?? ""}`}>
      <legend>Kind</legend>
      {KINDS.map((kind) => (
        <label key={kind}>
          <input type="checkbox" name="kind" value={kind} defaultChecked={chosen.includes(kind)} />
          {kindTitle(kind)}
        </label>
      ))}
    </fieldset>
  );
}

interface Option {
  value: string;
  label: string;
}

function Choices({ filters }: { filters: Filters }) {
  const methods = useQuery(methodsQuery()).data?.data ?? [];
  const students = useQuery(architecturesQuery()).data?.data ?? [];
  const datasets = useQuery(datasetsQuery({ limit: LARGEST_PAGE })).data?.data ?? [];
  const sweeps = useQuery(sweepsQuery({ limit: LARGEST_PAGE })).data?.data ?? [];
  const { method, student, dataset, sweep } = filters;
  return (
    <>
      <Choice
        label="Method"
        name="method"
        value={method}
        options={methods.map(({ name }) => ({ value: name, label: methodTitle(name) }))}
      />
      <Choice
        label="Student"
        name="student"
        value={student}
        options={students.map(({ name }) => ({ value: name, label: name }))}
      />
      <Choice label="Data set" name="dataset" value={dataset} options={datasets.map(toOption)} />
      <Choice
        label="Sweep"
        name="sweep"
        value={sweep}
        options={sweeps.map(({ id, name }) => ({
          value: id,
          label: `${name ?? "sweep"} (${shortId(id)})`,
        }))}
      />
    </>
  );
}

function toOption({ id, name }: Dataset): Option {
  return { value: id, label: name };
}

interface ChoiceProps {
  label: string;
  name: string;
  value: string | undefined | null;
  options: readonly Option[];
}

/** What the address names stays a choice, even where the lists do not have it. */
function Choice({ label, name, value, options }: ChoiceProps) {
  const isListed = value == null || options.some((option) => option.value === value);
  const all = isListed ? options : [{ value, label: value }, ...options];
  return (
    <SelectField label={label} name={name} key={all.length} defaultValue={value ?? ""}>
      <option value="">any</option>
      {all.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </SelectField>
  );
}

function MetadataFields() {
  return (
    <>
      <Field label="Metadata" aside="key" name="metadata_key" mono maxLength={64} />
      <Field label="Its value" name="metadata_value" maxLength={200} />
    </>
  );
}

function ResultFields({
  accuracies,
  error,
}: {
  accuracies: Accuracies;
  error?: string | undefined;
}) {
  const { measures, scope } = accuracies;
  return (
    <>
      <SelectField label="Result" name="result_key" aside={scope?.dataset ?? ""}>
        <option value="">any</option>
        {measures.map(({ key, label }) => (
          <option key={key} value={key}>
            {label}
          </option>
        ))}
      </SelectField>
      <Field
        label="At least"
        aside="%"
        name="result_least"
        inputMode="decimal"
        placeholder="50"
        error={error}
      />
    </>
  );
}
