/** The choice of a model or a data set: those that fit first. */

import { useQuery } from "@tanstack/react-query";

import { datasetsQuery, LARGEST_PAGE, modelsQuery, type Dataset, type Model } from "@/api/queries";
import { Field as TextInput, SelectField } from "@/components/controls/Field";

import { firstSentence } from "../spec/schema";
import { textAt, valueAt, type Path } from "../spec/values";
import { useSpecField, useSpecForm, type SpecField } from "./context";
import { fits, modelHint } from "./hints";
import { fieldLabel } from "./names";

interface Option {
  value: string;
  /** By what else the body may name it. */
  others: readonly string[];
  fits: boolean;
}

interface ChoiceProps {
  label: string;
  field: SpecField;
  options: readonly Option[];
  /** More than a page of them: the name is written. */
  isLong: boolean;
  hint: string | undefined;
  /** Head of those that do not fit. */
  unfit: string;
}

export function ModelField({ path }: { path: Path }) {
  const { job } = useSpecForm();
  const field = useSpecField(path);
  const models = useQuery(modelsQuery({ limit: LARGEST_PAGE })).data;
  const images = useDataset(valueAt(job, ["data", "dataset"]))?.description ?? undefined;
  const ready = models?.data.filter(({ status }) => status === "ready") ?? [];
  const chosen = ready.find((model) => namesOf(model).includes(textAt(field.value, [])));
  const sentence = field.field === undefined ? undefined : firstSentence(field.field);
  return (
    <Choice
      label={fieldLabel(path)}
      field={field}
      isLong={models?.has_more ?? false}
      options={ready.map((model) => ({
        value: model.name,
        others: namesOf(model),
        fits: fits(model, images),
      }))}
      hint={chosen === undefined ? sentence : modelHint(chosen)}
      unfit="Of other images or classes"
    />
  );
}

export function DatasetField({ path, hint }: { path: Path; hint?: string | undefined }) {
  const field = useSpecField(path);
  const datasets = useQuery(datasetsQuery({ limit: LARGEST_PAGE })).data;
  const ready = datasets?.data.filter(({ status }) => status === "ready") ?? [];
  return (
    <Choice
      label={fieldLabel(path)}
      field={field}
      isLong={datasets?.has_more ?? false}
      options={ready.map(({ id, name }) => ({ value: name, others: [id, name], fits: true }))}
      hint={hint ?? (field.field === undefined ? undefined : firstSentence(field.field))}
      unfit=""
    />
  );
}

/** The data set that a body names by id or name. */
export function useDataset(reference: unknown): Dataset | undefined {
  const datasets = useQuery(datasetsQuery({ limit: LARGEST_PAGE })).data;
  return datasets?.data.find(({ id, name }) => id === reference || name === reference);
}

function namesOf({ id, name, series, series_version: version, aliases }: Model): string[] {
  const references = [...aliases, ...(version === null ? [] : [String(version)])];
  return [id, name, ...references.map((reference) => `${series}@${reference}`)];
}

function Choice({ label, field, options, isLong, hint, unfit }: ChoiceProps) {
  const { value, error, id, set, field: schema } = field;
  const text = typeof value === "string" ? value : "";
  const shared = { label, error, hint, "data-field": id };
  if (isLong) return <LongChoice {...shared} text={text} options={options} set={set} />;
  const known = options.find(({ others }) => others.includes(text));
  const groups = [
    { title: "", members: options.filter((option) => option.fits) },
    { title: unfit, members: options.filter((option) => !option.fits) },
  ];
  return (
    <SelectField
      {...shared}
      value={known?.value ?? text}
      onChange={({ target }) => set(target.value === "" ? undefined : target.value)}
    >
      {(schema?.isNullable === true || text === "") && (
        <option value="">{schema?.isNullable === true ? "none" : "choose one"}</option>
      )}
      {known === undefined && text !== "" && <option value={text}>{text}</option>}
      {groups.map(({ title, members }) => (
        <Options key={title} title={title} members={members} />
      ))}
    </SelectField>
  );
}

function Options({ title, members }: { title: string; members: readonly Option[] }) {
  const options = members.map(({ value }) => (
    <option key={value} value={value}>
      {value}
    </option>
  ));
  if (title === "" || members.length === 0) return options;
  return <optgroup label={title}>{options}</optgroup>;
}

interface LongChoiceProps {
  label: string;
  error: string | undefined;
  hint: string | undefined;
  "data-field": string;
  text: string;
  options: readonly Option[];
  set: SpecField["set"];
}

function LongChoice({ text, options, set, ...shared }: LongChoiceProps) {
  const listId = `${shared["data-field"]}-names`;
  return (
    <>
      <TextInput
        {...shared}
        list={listId}
        value={text}
        autoComplete="off"
        spellCheck={false}
        onChange={({ target }) => set(target.value === "" ? undefined : target.value)}
      />
      <datalist id={listId}>
        {options.map(({ value }) => (
          <option key={value} value={value} />
        ))}
      </datalist>
    </>
  );
}
