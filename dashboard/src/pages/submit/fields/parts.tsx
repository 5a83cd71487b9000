/** Parts of a spec that have fields of their own, and settings that are on or off. */

import type { ReactNode } from "react";

import { firstSentence, isDiscriminator, propertiesOf, sentencesOf } from "../spec/schema";
import { valueAt, type Path } from "../spec/values";
import { useSpecField, useSpecForm } from "./context";
import { fieldLabel } from "./names";
import styles from "./fields.module.css";
import { SchemaField, type Span } from "./SchemaField";

/** Fields behind a line that opens them. */
export function Disclosure({ title, children }: { title: string; children: ReactNode }) {
  return (
    <details className={styles.disclosure}>
      <summary>{title}</summary>
      <div className={styles.grid}>{children}</div>
    </details>
  );
}

interface ObjectFieldsProps {
  path: Path;
  skip?: readonly string[];
  span?: Span;
}

/** All fields of the object at a path, but for those that stand elsewhere. */
export function ObjectFields({ path, skip = [], span = "third" }: ObjectFieldsProps) {
  const { schema, resolved } = useSpecForm();
  const { field, value } = useSpecField(path);
  if (field === undefined) return null;
  const properties = propertiesOf(schema, field, value ?? valueAt(resolved, path));
  return Object.entries(properties)
    .filter(([key, property]) => !skip.includes(key) && !isDiscriminator(property))
    .map(([key, property]) => {
      const inner = [...path, key];
      const isUnion = property.discriminator !== undefined || property.oneOf !== undefined;
      return isUnion ? (
        <Union key={key} path={inner} />
      ) : (
        <SchemaField key={key} path={inner} span={span} />
      );
    });
}

/** The kind of an object, and the settings of that kind. */
export function Union({ path, label }: { path: Path; label?: string }) {
  return (
    <>
      <SchemaField path={path} {...(label === undefined ? {} : { label })} />
      <ObjectFields path={path} />
    </>
  );
}

/** An object: one that may be missing is first switched on. */
export function OptionalPart({ path, label }: { path: Path; label: string }) {
  const { field, value, error, id, set } = useSpecField(path);
  if (field === undefined) return null;
  const isOn = value !== undefined && value !== null;
  return (
    <fieldset className={styles.part}>
      {field.isNullable ? (
        <legend>
          <label className={styles.check}>
            <input
              type="checkbox"
              data-field={id}
              checked={isOn}
              onChange={({ target }) => set(target.checked ? {} : undefined)}
            />
            {label}
          </label>
        </legend>
      ) : (
        <legend>{label}</legend>
      )}
      <p className={error === undefined ? styles.hint : styles.error}>
        {error ?? sentencesOf(field)}
      </p>
      {(isOn || !field.isNullable) && (
        <div className={styles.grid}>
          <ObjectFields path={path} />
        </div>
      )}
    </fieldset>
  );
}

export function CheckField({ path, label = fieldLabel(path) }: { path: Path; label?: string }) {
  const { field, value, fallback, error, id, set } = useSpecField(path);
  const text = error ?? (field === undefined ? undefined : firstSentence(field));
  return (
    <>
      <label className={styles.check}>
        <input
          type="checkbox"
          data-field={id}
          checked={(value ?? fallback) === true}
          aria-invalid={error === undefined ? undefined : true}
          onChange={({ target }) => set(target.checked)}
        />
        {label}
      </label>
      {text !== undefined && (
        <p
          className={`${styles.below ?? ""} ${(error === undefined ? styles.hint : styles.error) ?? ""}`}
        >
          {text}
        </p>
      )}
    </>
  );
}
