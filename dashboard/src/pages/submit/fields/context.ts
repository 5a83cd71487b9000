/** What every field of the form reads: the body, its schema, what is wrong, and how to change it. */

import { createContext, useContext } from "react";

import type { FieldProblem } from "@/api/problem";

import { fieldAt, type Field, type Schema } from "../spec/schema";
import { isObject, pathKey, valueAt, type Json, type JsonObject, type Path } from "../spec/values";

export interface SpecForm {
  /** The body of one job: of a sweep, its base. */
  job: JsonObject;
  /** Whole: of a sweep, with its axes. */
  body: JsonObject;
  /** Where the job is in the body. */
  prefix: Path;
  schema: Schema;
  /** The job with every default, as far as it is known. */
  resolved: Json | undefined;
  errors: readonly FieldProblem[];
  /** Sets a value of the body; undefined removes it. The path is that in the body. */
  change: (path: Path, value: Json | undefined) => void;
}

export const SpecFormContext = createContext<SpecForm | undefined>(undefined);

export function useSpecForm(): SpecForm {
  const form = useContext(SpecFormContext);
  if (form === undefined) throw new Error("There is no form around this field.");
  return form;
}

/** Of these a sweep has its own, for all of its jobs. */
const OF_THE_SWEEP = new Set<string | number>(["name", "metadata"]);

export interface SpecField {
  /** Undefined where this version of the service has no such field. */
  field: Field | undefined;
  value: Json | undefined;
  /** What is used where the body has no value. */
  fallback: Json | undefined;
  /** What is wrong with the field itself. */
  error: string | undefined;
  /** A sweep has several values of it. */
  isVaried: boolean;
  /** Identifies the field's input, so that a problem can lead to it. */
  id: string;
  set: (value: Json | undefined) => void;
}

/** A field of the job at a path. */
export function useSpecField(path: Path): SpecField {
  const form = useSpecForm();
  const bodyPath = bodyPathOf(form, path);
  const field = fieldAt(form.schema, form.job, path);
  const value = valueAt(form.body, bodyPath);
  return {
    field,
    value,
    fallback: valueAt(form.resolved, path) ?? field?.default,
    error: errorAt(form.errors, bodyPath, field),
    isVaried: isVaried(form.body, path),
    id: pathKey(bodyPath),
    set: (next) => form.change(bodyPath, next),
  };
}

export function bodyPathOf({ prefix }: Pick<SpecForm, "prefix">, path: Path): Path {
  return OF_THE_SWEEP.has(path[0] ?? "") ? path : [...prefix, ...path];
}

/** Whether an axis or a row of a sweep sets the field, or a part of it. */
function isVaried(body: JsonObject, path: Path): boolean {
  const key = pathKey(path);
  const axes = isObject(body.axes) ? Object.keys(body.axes) : [];
  const rows = Array.isArray(body.rows) ? body.rows : [];
  return (
    axes.some((axis) => axis === key || key.startsWith(`${axis}.`)) ||
    rows.some((row) => valueAt(row, ["changes", ...path]) !== undefined)
  );
}

/** A list's input shows what is wrong with any of its items, a union's what is wrong with its kind. */
function errorAt(
  errors: readonly FieldProblem[],
  path: Path,
  field: Field | undefined,
): string | undefined {
  const isWhole = field?.type === "array" || field?.properties === undefined;
  const isUnion = field?.discriminator !== undefined;
  const messages = errors
    .filter((error) => {
      const rest = error.path.slice(path.length);
      if (!path.every((key, index) => key === error.path[index])) return false;
      return rest.length === 0 || (isWhole && !isUnion) || (isUnion && isKind(rest, field));
    })
    .map(({ message }) => message);
  return messages.length === 0 ? undefined : messages.join(" ");
}

function isKind(rest: readonly (string | number)[], field: Field | undefined): boolean {
  return rest.length === 1 && rest[0] === field?.discriminator?.propertyName;
}
