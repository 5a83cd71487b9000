/** Which fields stand at the top of each group; all others of the schema are behind its "More". */

import { isDiscriminator, propertiesOf, resolve, type Schema } from "../spec/schema";
import { isObject, valueAt, type Json, type JsonObject, type Path } from "../spec/values";

/** Fields of a job that have a place of their own; others of a newer service come last. */
export const PLACED = [
  ...["kind", "name", "metadata", "license", "teacher", "model", "reference", "student"],
  ...["start_from", "export", "preset", "method", "igdm", "averaging", "awp", "adversary"],
  ...["radius", "data", "schedule", "seed", "evaluation"],
];
export const MAIN_SCHEDULE = ["epochs", "batch_size", "learning_rate"];
export const MAIN_DATA = ["dataset", "held_out"];
export const MAIN_ADVERSARY = ["radius", "step_size", "steps", "step_factor", "noise_factor"];
export const MAIN_EVALUATION = ["attacks", "analyses"];
/** Switches of methods that make no difference to what is minimized. */
export const RARE_SWITCHES = ["statistics_passes"];
/** In a network's settings: nearly always the default of its architecture. */
export const RARE_STUDENT = ["normalization"];

/**
 * Of a method: settings that are numbers or words, weights of its parts, and whole parts, which
 * have more settings.
 */
export function methodParts(
  schema: Schema,
  method: Json | undefined,
): { settings: string[]; switches: string[]; weights: string[]; parts: string[] } {
  const field = resolve(schema, schema.properties?.method ?? {});
  const parts = { settings: [], switches: [], weights: [], parts: [] } as Record<
    "settings" | "switches" | "weights" | "parts",
    string[]
  >;
  for (const [key, property] of Object.entries(propertiesOf(schema, field, method))) {
    if (isDiscriminator(property)) continue;
    const inner = resolve(schema, property);
    if (inner.properties !== undefined) {
      parts.parts.push(key);
      if (inner.properties.weight !== undefined) parts.weights.push(key);
    } else if (inner.type === "boolean") parts.switches.push(key);
    else parts.settings.push(key);
  }
  return parts;
}

/** The part of a job of another kind that it has fields for; what is missing is left out. */
export function asKind(job: JsonObject, kind: string, schema: Schema): JsonObject {
  const properties = schema.properties ?? {};
  const entries = Object.entries(job).filter(([key, value]) => {
    if (key === "kind" || !Object.hasOwn(properties, key)) return false;
    const field = resolve(schema, properties[key] ?? {});
    if (field.discriminator === undefined || !isObject(value)) return true;
    return isObject(value) && isVariant(schema, field, value);
  });
  return { kind, ...Object.fromEntries(entries) };
}

function isVariant(schema: Schema, field: ReturnType<typeof resolve>, value: JsonObject): boolean {
  return Object.keys(propertiesOf(schema, field, value)).length > 0;
}

/** Settings that a sweep may vary: numbers, words, switches and kinds, by their paths. */
export function axisPaths(schema: Schema, job: JsonObject): string[] {
  return ["teacher", "model", ...leaves(schema, schema, job, [])].filter(
    (path) =>
      schema.properties?.[path.split(".")[0] ?? ""] !== undefined && !path.startsWith("name"),
  );
}

const NO_AXIS = new Set(["kind", "name", "metadata", "license", "teacher", "model", "export"]);
const DEEPEST = 4;

function leaves(root: Schema, schema: Schema, value: Json | undefined, path: Path): string[] {
  const field = resolve(root, schema);
  const own = field.discriminator !== undefined && path.length > 0 ? [path.join(".")] : [];
  const properties = propertiesOf(root, field, value);
  if (Object.keys(properties).length === 0 || path.length >= DEEPEST) {
    const isList = field.type === "array" || field.type === "object";
    return isList || field.discriminator !== undefined ? own : [path.join(".")];
  }
  const inner = Object.entries(properties)
    .filter(
      ([key, property]) => !isDiscriminator(property) && !(path.length === 0 && NO_AXIS.has(key)),
    )
    .flatMap(([key, property]) => leaves(root, property, valueAt(value, [key]), [...path, key]));
  return [...own, ...inner];
}
