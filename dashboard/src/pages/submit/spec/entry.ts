/** Between a value of a body and the text in its input. */

import { isNumeric, takesFraction, type Field } from "./schema";
import type { Json } from "./values";

const FRACTION = /^\d{1,4}(\.\d{1,6})?\/[1-9]\d{0,4}$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * What a text in a field's input means; undefined for an empty one. Text that is no value of the
 * field is returned as it is: the service says what would be right.
 */
export function parseEntry(text: string, field: Field): Json | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  if (field.type === "array") return parseList(trimmed, field);
  if (!isNumeric(field)) return text;
  return parseNumber(trimmed, takesFraction(field));
}

function parseNumber(text: string, asFraction: boolean): number | string {
  const plain = text.replace("\u2212", "-");
  if (asFraction && FRACTION.test(plain.replaceAll(" ", ""))) return plain.replaceAll(" ", "");
  return NUMBER.test(plain) ? Number(plain) : text;
}

function parseList(text: string, field: Field): Json[] {
  const items = text.split(",").map((item) => item.trim());
  const item: Field = { ...(field.items ?? field.prefixItems?.[0] ?? {}), isNullable: false };
  const filled = items.filter((entry) => entry !== "");
  return filled.map((entry) => (isNumeric(item) ? parseNumber(entry, takesFraction(item)) : entry));
}

/** A value as the text of its input. */
export function formatEntry(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(formatEntry).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** Values of an axis of a sweep: "0, 1, 2", "starship, rslad", "true, false", "{…}, {…}". */
export function parseAxis(text: string): Json[] {
  return splitList(text).map((item) => {
    if (NUMBER.test(item)) return Number(item);
    if (item === "true" || item === "false") return item === "true";
    if (!item.startsWith("{") && !item.startsWith("[")) return item;
    try {
      return JSON.parse(item) as Json;
    } catch {
      return item;
    }
  });
}

/** Splits at commas that are in no bracket. */
function splitList(text: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let item = "";
  for (const character of text) {
    if ("{[".includes(character)) depth += 1;
    if ("}]".includes(character)) depth -= 1;
    if (character === "," && depth <= 0) {
      items.push(item);
      item = "";
    } else item += character;
  }
  return [...items, item].map((entry) => entry.trim()).filter((entry) => entry !== "");
}
