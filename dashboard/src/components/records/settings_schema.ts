/** The flat JSON Schema of an architecture's settings as fields of a form. Pure. */

import { sentenceCase } from "./words";

export interface SettingsField {
  name: string;
  title: string;
  /** What it is: the schema's own sentence. */
  hint: string;
  isNumber: boolean;
  /** Values to choose from; empty for free text. */
  choices: readonly string[];
  initial: string;
  /** The range of a number. */
  aside: string;
}

interface Property {
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
}

/** Fields in the schema's order; a constant, which names the architecture, is none. */
export function settingsFields(schema: Record<string, unknown>): SettingsField[] {
  const properties = (schema.properties ?? {}) as Record<string, Property>;
  return Object.entries(properties)
    .filter(([, property]) => property.const === undefined)
    .map(([name, property]) => ({
      name,
      title: property.title ?? sentenceCase(name),
      hint: property.description ?? "",
      isNumber: property.type === "integer" || property.type === "number",
      choices: (property.enum ?? []).map(String),
      initial: textOf(property.default),
      aside: rangeOf(property),
    }));
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function rangeOf({ minimum, maximum }: Property): string {
  if (minimum === undefined && maximum === undefined) return "";
  if (maximum === undefined) return `at least ${minimum ?? 0}`;
  return minimum === undefined ? `at most ${maximum}` : `${minimum}–${maximum}`;
}

/** The body's values: empty ones are left out, and what is no number is for the API to refuse. */
export function settingsBody(
  fields: readonly SettingsField[],
  values: Readonly<Record<string, string>>,
): Record<string, string | number> {
  const body: Record<string, string | number> = {};
  for (const { name, isNumber } of fields) {
    const text = (values[name] ?? "").trim();
    if (text === "") continue;
    const number = Number(text);
    body[name] = isNumber && Number.isFinite(number) ? number : text;
  }
  return body;
}
