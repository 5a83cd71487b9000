/** JSON merge patches as POST /v1/jobs/{id}/clone takes them. */

import { isEqual, isObject, type Json, type JsonObject } from "./values";

const KINDS = ["name", "architecture"];

/**
 * The patch that turns a job's stored spec into another body. Null removes a field; an object of
 * another kind is replaced as a whole, and so is given as a whole.
 */
export function clonePatch(stored: JsonObject, body: JsonObject): JsonObject {
  const patch: JsonObject = {};
  for (const key of Object.keys(stored)) {
    if (!Object.hasOwn(body, key) && stored[key] !== null) patch[key] = null;
  }
  for (const [key, value] of Object.entries(body)) {
    const before = stored[key];
    if (isEqual(before, value)) continue;
    const changesKind = isObject(before) && isObject(value) && isOtherKind(before, value, key);
    if (!isObject(before) || !isObject(value) || changesKind) patch[key] = value;
    else patch[key] = clonePatch(before, value);
  }
  return patch;
}

function isOtherKind(before: JsonObject, after: JsonObject, key: string): boolean {
  if (key === "metadata") return false;
  return KINDS.some((kind) => isOther(before[kind], after[kind]));
}

function isOther(before: Json | undefined, after: Json | undefined): boolean {
  return before !== undefined && after !== undefined && before !== after;
}
