/** An input for any field of the schema, with the schema's own sentence below it. */

import type { ReactNode } from "react";

import { Field as TextInput, SelectField } from "@/components/controls/Field";
import { formatRadius } from "@/format/threat_model";

import { formatEntry } from "../spec/entry";
import {
  discriminatorOf,
  firstSentence,
  isNumeric,
  sentencesOf,
  takesFraction,
  variantsOf,
  type Field,
} from "../spec/schema";
import { isObject, valueAt, type Json, type Path } from "../spec/values";
import { useSpecField, useSpecForm } from "./context";
import { CheckField, OptionalPart } from "./parts";
import { EnumChecks, MetadataField } from "./lists";
import { fieldAside, fieldLabel, kindLabel } from "./names";
import styles from "./fields.module.css";
import { useFieldEntry } from "./useEntry";

/** In place of a field's aside. */
const VARIED = "the sweep varies it";

export type Span = "third" | "half" | "wide";

interface SchemaFieldProps {
  path: Path;
  span?: Span;
  label?: string;
  aside?: string;
  /** In place of the schema's sentence. */
  hint?: string | undefined;
  optionLabel?: (name: string) => string;
}

export function SchemaField(props: SchemaFieldProps) {
  const { path, span = "third" } = props;
  const { field } = useSpecField(path);
  const content = field === undefined ? null : inputOf(props, field);
  if (content === null) return null;
  const isPart = isObjectField(field) || field?.type === "boolean";
  return <div className={styles[isPart && span === "third" ? "wide" : span]}>{content}</div>;
}

function inputOf(props: SchemaFieldProps, field: Field): ReactNode {
  const { path, label = fieldLabel(path) } = props;
  if (field.discriminator !== undefined) return <UnionField {...props} label={label} />;
  if (isObjectField(field)) return <OptionalPart path={path} label={label} />;
  if (field.type === "object") return <MetadataField path={path} label={label} />;
  if (field.type === "boolean") return <CheckField path={path} label={label} />;
  if (field.type === "array" && field.items?.enum !== undefined) {
    return <EnumChecks path={path} label={label} options={field.items.enum.map(String)} />;
  }
  const options = field.enum ?? (field.const !== undefined && field.isNullable && [field.const]);
  if (options) return <ChoiceField {...props} label={label} options={options.map(String)} />;
  return <EntryField {...props} label={label} />;
}

function isObjectField(field: Field | undefined): boolean {
  return field?.properties !== undefined && field.discriminator === undefined;
}

/** A number, a text or a list of them. */
function EntryField({ path, label = fieldLabel(path), aside, hint }: SchemaFieldProps) {
  const { field, value, fallback, error, isVaried, id, set } = useSpecField(path);
  const entry = useFieldEntry(value, field, set);
  if (field === undefined) return null;
  const numeric = isNumeric(field);
  return (
    <TextInput
      {...entry}
      data-field={id}
      label={label}
      aside={isVaried ? VARIED : (aside ?? fieldAside(path))}
      hint={hint ?? firstSentence(field)}
      error={error}
      inputMode={numeric && !takesFraction(field) ? "decimal" : "text"}
      placeholder={placeholderOf(fallback, field)}
      autoComplete="off"
      spellCheck={false}
    />
  );
}

/** What is used where nothing is written. */
export function placeholderOf(fallback: Json | undefined, field: Field): string {
  if (typeof fallback === "number" && takesFraction(field)) return formatRadius(fallback);
  return isObject(fallback) ? "" : formatEntry(fallback);
}

/** One of a few words. */
function ChoiceField(props: SchemaFieldProps & { options: readonly string[] }) {
  const { path, label = fieldLabel(path), options, hint } = props;
  const { field, value, fallback, error, id, set } = useSpecField(path);
  const chosen = value ?? fallback ?? "";
  return (
    <SelectField
      data-field={id}
      label={label}
      aside={props.aside}
      hint={hint ?? (field === undefined ? undefined : firstSentence(field))}
      error={error}
      value={typeof chosen === "string" ? chosen : ""}
      onChange={(event) => set(event.target.value === "" ? undefined : event.target.value)}
    >
      {field?.isNullable === true && <option value="">none</option>}
      {options.map((option) => (
        <option key={option} value={option}>
          {option}
        </option>
      ))}
    </SelectField>
  );
}

/** An object of one of several kinds: a select of the kind alone. Its settings stand elsewhere. */
export function UnionField(props: SchemaFieldProps) {
  const { path, label = fieldLabel(path), optionLabel = kindLabel, hint } = props;
  const { schema } = useSpecForm();
  const { field, value, fallback, error, isVaried, id, set } = useSpecField(path);
  if (field === undefined) return null;
  const key = discriminatorOf(field) ?? "name";
  const isOpen = isVaried && value === undefined;
  const usual = isOpen ? undefined : valueAt(fallback, [key]);
  const chosen = valueAt(value, [key]) ?? usual ?? "";
  const variants = variantsOf(schema, field);
  const variant = variants.find(({ name }) => name === chosen);
  return (
    <SelectField
      data-field={id}
      label={label}
      aside={isVaried ? VARIED : props.aside}
      hint={hint ?? sentencesOf(variant?.schema ?? field)}
      error={error}
      value={typeof chosen === "string" ? chosen : ""}
      onChange={({ target }) => set(target.value === "" ? undefined : { [key]: target.value })}
    >
      {(field.isNullable || variant === undefined) && (
        <option value="">{isOpen ? "several" : "none"}</option>
      )}
      {variants.map(({ name }) => (
        <option key={name} value={name}>
          {optionLabel(name)}
        </option>
      ))}
    </SelectField>
  );
}
