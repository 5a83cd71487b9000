/** A label, its input, and below it a hint or what is wrong. */

import { useId, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes } from "react";

import styles from "./controls.module.css";

interface FrameProps {
  label: string;
  /** At the label's right: the unit, the range, "optional". */
  aside?: string;
  hint?: string;
  /** Names the value and what would be right: "Must be at least 1, not 0." */
  error?: string | undefined;
}

interface Described {
  id: string;
  "aria-invalid": true | undefined;
  "aria-describedby": string | undefined;
}

export function Field({
  label,
  aside,
  hint,
  error,
  mono = false,
  ...props
}: FrameProps & { mono?: boolean } & Omit<InputHTMLAttributes<HTMLInputElement>, "className">) {
  return (
    <FieldFrame label={label} aside={aside} hint={hint} error={error}>
      {(described) => (
        <input
          {...props}
          {...described}
          className={`${styles.input ?? ""} ${mono ? "mono" : ""}`}
        />
      )}
    </FieldFrame>
  );
}

export function SelectField({
  label,
  aside,
  hint,
  error,
  ...props
}: FrameProps & Omit<SelectHTMLAttributes<HTMLSelectElement>, "className">) {
  return (
    <FieldFrame label={label} aside={aside} hint={hint} error={error}>
      {(described) => <select {...props} {...described} className={styles.select} />}
    </FieldFrame>
  );
}

type FieldFrameProps = {
  [Key in keyof FrameProps]: FrameProps[Key] | undefined;
} & { children: (described: Described) => ReactNode };

/** Joins label, hint and error to any input. */
export function FieldFrame({ label, aside, hint, error, children }: FieldFrameProps) {
  const id = useId();
  const textId = `${id}-text`;
  const hasText = error !== undefined || hint !== undefined;
  return (
    <div className={styles.field}>
      <label htmlFor={id}>
        {label}
        {aside !== undefined && <span className={styles.aside}>{aside}</span>}
      </label>
      {children({
        id,
        "aria-invalid": error === undefined ? undefined : true,
        "aria-describedby": hasText ? textId : undefined,
      })}
      {hasText && (
        <p id={textId} className={error === undefined ? styles.hint : styles.error}>
          {error ?? hint}
        </p>
      )}
    </div>
  );
}
