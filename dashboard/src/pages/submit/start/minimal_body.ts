/**
 * What a person would write for a stored spec: it has every default written out, which nobody wants
 * to read, and which would hold test radii in place when the training's radius changes.
 */

import { formatRadius, parseRadius } from "@/format/threat_model";

import {
  discriminatorOf,
  fieldAt,
  missingKinds,
  propertiesOf,
  takesFraction,
  type Field,
  type Schema,
} from "../spec/schema";
import { isEqual, isObject, pathKey, valueAt, withValue } from "../spec/values";
import type { Json, JsonObject, Path } from "../spec/values";

/** Says what an object is, or names an input: always written. */
const WRITTEN = new Set([
  ...["kind", "name", "architecture", "teacher", "model", "reference", "dataset", "preset"],
  "start_from",
]);

/** The threat model is written, too, even where it is the default. */
const THREAT = new Set(["radius", "adversary.radius"]);

function isWritten(path: Path): boolean {
  return WRITTEN.has(String(path.at(-1))) || THREAT.has(pathKey(path));
}

/** Resolves all defaults of a body as a submission would; undefined where it could not run. */
export type Resolve = (body: JsonObject) => Promise<JsonObject | undefined>;

/**
 * Returns the shortest body that a submission resolves to the stored spec. Where there is none,
 * because an input is gone or a default has changed, it is the spec as it is stored.
 */
export async function minimalBody(
  stored: JsonObject,
  schema: Schema,
  resolve: Resolve,
): Promise<JsonObject> {
  let body = skeleton(stored, schema, stored, []) as JsonObject;
  // What is tested follows from the training: it is compared when that is complete.
  for (const includes of [(path: Path) => path[0] !== "evaluation", () => true]) {
    const resolved = await resolve(body);
    if (resolved === undefined) return withFractions(stored, schema);
    for (const path of differences(stored, resolved, []).filter(includes)) {
      for (const part of missingKinds(schema, body, stored, path)) {
        body = withValue(body, part.path, part.kind) as JsonObject;
      }
      body = withValue(body, path, valueAt(stored, path) ?? null) as JsonObject;
    }
  }
  const resolved = await resolve(body);
  const isExact = resolved !== undefined && differences(stored, resolved, []).length === 0;
  return withFractions(isExact ? body : stored, schema);
}

function skeleton(value: Json, schema: Schema, root: JsonObject, path: Path): Json | undefined {
  if (Array.isArray(value)) {
    const holdsObjects = value.some(isObject);
    return holdsObjects
      ? value.map((item, index) => skeleton(item, schema, root, [...path, index]) ?? {})
      : undefined;
  }
  if (!isObject(value)) return undefined;
  const parts: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === "metadata" && path.length === 0) {
      if (isObject(item) && Object.keys(item).length > 0) parts[key] = item;
    } else if (isWritten([...path, key]) && item !== null) parts[key] = item;
    else {
      const part = skeleton(item, schema, root, [...path, key]);
      if (part !== undefined) parts[key] = part;
    }
  }
  const field = fieldAt(schema, root, path);
  return Object.keys(parts).length === 0 || isUsualKind(field, parts, path) ? undefined : parts;
}

/** A part that says no more than its kind, which is the usual one: a decay, a distance. */
function isUsualKind(field: Field | undefined, parts: JsonObject, path: Path): boolean {
  const kind = field === undefined ? undefined : discriminatorOf(field);
  if (kind === undefined || path.length < 2 || Object.keys(parts).length > 1) return false;
  return typeof path.at(-1) === "string" && parts[kind] === valueAt(field?.default, [kind]);
}

/** Paths of values that differ; a missing one is null. */
export function differences(a: Json | undefined, b: Json | undefined, path: Path): Path[] {
  if (isObject(a) && isObject(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => differences(a[key], b[key], [...path, key]));
  }
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.some(isObject)) {
    return a.flatMap((item, index) => differences(item, b[index], [...path, index]));
  }
  return isEqual(a ?? null, b ?? null) ? [] : [path];
}

/** What is set, in the schema's order; first what says of what kind it is. */
function inOrder(value: JsonObject, field: Field | undefined, schema: Schema): [string, Json][] {
  const keys = field === undefined ? [] : Object.keys(propertiesOf(schema, field, value));
  const place = (key: string) =>
    field?.discriminator?.propertyName === key ? -1 : keys.indexOf(key);
  return Object.entries(value)
    .filter(([, item]) => item !== null)
    .sort(([a], [b]) => place(a) - place(b));
}

/** 8/255 in place of 0.03137254901960784, where a field takes fractions. */
function withFractions(body: JsonObject, schema: Schema): JsonObject {
  const write = (value: Json, path: Path): Json => {
    if (Array.isArray(value)) return value.map((item, index) => write(item, [...path, index]));
    if (isObject(value)) {
      const entries = inOrder(value, fieldAt(schema, body, path), schema);
      return Object.fromEntries(entries.map(([key, item]) => [key, write(item, [...path, key])]));
    }
    if (typeof value !== "number") return value;
    const text = formatRadius(value);
    const isFraction = text.includes("/") && parseRadius(text) === value;
    const field = isFraction ? fieldAt(schema, body, path) : undefined;
    return field !== undefined && takesFraction(field) ? text : value;
  };
  return write(body, []) as JsonObject;
}
