/** Inputs of lists and labels. */

import { Field as TextInput } from "@/components/controls/Field";

import { formatEntry } from "../spec/entry";
import { sentencesOf } from "../spec/schema";
import { isObject, type Json, type JsonObject, type Path } from "../spec/values";
import { useSpecField } from "./context";
import styles from "./fields.module.css";
import { useEntry } from "./useEntry";

interface EnumChecksProps {
  path: Path;
  label: string;
  options: readonly string[];
}

/** Several of a few words. */
export function EnumChecks({ path, label, options }: EnumChecksProps) {
  const { field, value, fallback, error, id, set } = useSpecField(path);
  const list = value ?? fallback;
  const chosen = Array.isArray(list) ? list.map(String) : [];
  const toggled = (option: string) => options.filter((each) => isIn(each) !== (each === option));
  const isIn = (option: string) => chosen.includes(option);
  return (
    <fieldset className={styles.part}>
      <legend>{label}</legend>
      <div className={styles.checks}>
        {options.map((option, index) => (
          <label key={option} className={styles.check}>
            <input
              type="checkbox"
              {...(index === 0 ? { "data-field": id } : {})}
              checked={isIn(option)}
              onChange={() => set(toggled(option))}
            />
            <span className="mono">{option}</span>
          </label>
        ))}
      </div>
      <p className={error === undefined ? styles.hint : styles.error}>
        {error ?? (field === undefined ? undefined : sentencesOf(field))}
      </p>
    </fieldset>
  );
}

/** Labels as "team=vision, purpose=ablation". */
export function MetadataField({ path, label }: { path: Path; label: string }) {
  const { field, value, error, id, set } = useSpecField(path);
  const entry = useEntry({ value, set, parse: parseLabels, format: formatLabels });
  const isAmbiguous =
    isObject(value) && Object.values(value).some((item) => formatEntry(item).includes(","));
  const hint = isAmbiguous
    ? "One of these labels has a comma: change them in the YAML."
    : field && sentencesOf(field);
  return (
    <TextInput
      {...entry}
      data-field={id}
      label={label}
      aside="key=value, …"
      hint={hint}
      error={error}
      disabled={isAmbiguous}
      autoComplete="off"
      spellCheck={false}
    />
  );
}

export function parseLabels(text: string): JsonObject | undefined {
  const pairs = text
    .split(",")
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "")
    .map((pair): [string, Json] => {
      const [key = "", ...rest] = pair.split("=");
      return [key.trim(), rest.join("=").trim()];
    });
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
}

export function formatLabels(value: Json | undefined): string {
  if (!isObject(value)) return "";
  return Object.entries(value)
    .map(([key, item]) => `${key}=${formatEntry(item)}`)
    .join(", ");
}
