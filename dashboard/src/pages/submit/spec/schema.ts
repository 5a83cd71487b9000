/** What the form reads from the JSON Schemas of REST (draft 2020-12, as pydantic writes them). */

import { isObject, valueAt, type Json, type JsonObject, type Path } from "./values";

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  title?: string;
  description?: string;
  type?: string;
  default?: Json;
  const?: Json;
  enum?: Json[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  prefixItems?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  discriminator?: { propertyName: string; mapping?: Record<string, string> };
}

/** A schema without references: an object, a union of named kinds, or a leaf. */
export interface Field extends Schema {
  /** It may be null: without a value. */
  isNullable: boolean;
}

/** Follows references and takes null out of a union. `root` holds the definitions. */
export function resolve(root: Schema, schema: Schema): Field {
  const { $ref, ...own } = schema;
  const target = $ref === undefined ? {} : definition(root, $ref);
  const merged: Schema = { ...target, ...own };
  const members = merged.anyOf;
  if (members === undefined) return { ...merged, isNullable: false };
  const present = members.filter(({ type }) => type !== "null");
  const isNullable = present.length < members.length;
  const rest: Schema = { ...merged };
  delete rest.anyOf;
  const only = present.length === 1 ? present[0] : undefined;
  if (only === undefined) return { ...rest, anyOf: present, isNullable };
  const inner = resolve(root, only);
  return { ...inner, ...rest, isNullable: isNullable || inner.isNullable };
}

function definition(root: Schema, reference: string): Schema {
  return root.$defs?.[reference.split("/").at(-1) ?? ""] ?? {};
}

export interface Variant {
  /** Value of the discriminator: "pgd". */
  name: string;
  schema: Field;
}

/** The kinds of a union with a discriminator, in the schema's order; none for anything else. */
export function variantsOf(root: Schema, field: Schema): Variant[] {
  const key = field.discriminator?.propertyName;
  if (key === undefined) return [];
  return (field.oneOf ?? []).flatMap((member) => {
    const schema = resolve(root, member);
    const name = schema.properties?.[key]?.const;
    return typeof name === "string" ? [{ name, schema }] : [];
  });
}

export function discriminatorOf(field: Schema): string | undefined {
  return field.discriminator?.propertyName;
}

/** The kind of a union that a value is of; of a missing value that of its default. */
export function variantOf(
  root: Schema,
  field: Field,
  value: Json | undefined,
): Variant | undefined {
  const key = discriminatorOf(field);
  if (key === undefined) return undefined;
  const variants = variantsOf(root, field);
  const name = valueAt(value, [key]) ?? valueAt(field.default, [key]);
  return variants.find((variant) => variant.name === name);
}

/** A field's properties: those of the chosen kind, where it is a union. */
export function propertiesOf(
  root: Schema,
  field: Field,
  value: Json | undefined,
): Record<string, Schema> {
  if (field.properties !== undefined) return field.properties;
  return variantOf(root, field, value)?.schema.properties ?? {};
}

/**
 * The field at a path of a body of this schema, with its default; undefined where the schema has
 * none. A default of an object counts for its fields, as long as the body has no other kind.
 */
export function fieldAt(root: Schema, body: Json | undefined, path: Path): Field | undefined {
  let field = resolve(root, root);
  let value = body;
  for (const key of path) {
    const inherited = defaultOf(field, value, key);
    const next = stepInto(root, field, value, key);
    if (next === undefined) return undefined;
    field = resolve(root, next);
    if (inherited !== undefined) field = { ...field, default: inherited };
    value = valueAt(value, [key]);
  }
  return field;
}

function stepInto(
  root: Schema,
  field: Field,
  value: Json | undefined,
  key: string | number,
): Schema | undefined {
  if (field.type === "array") return field.items;
  return propertiesOf(root, field, value)[String(key)];
}

function defaultOf(field: Field, value: Json | undefined, key: string | number): Json | undefined {
  if (!isObject(field.default)) return undefined;
  const kind = discriminatorOf(field);
  const own = kind === undefined ? undefined : valueAt(value, [kind]);
  if (own !== undefined && own !== field.default[kind ?? ""]) return undefined;
  return field.default[String(key)];
}

/**
 * Kinds that a body has to name before a field at a path can be set: what is missing has that of
 * its default, but a part of it is refused without one.
 */
export function missingKinds(
  root: Schema,
  body: JsonObject,
  resolved: Json | undefined,
  path: Path,
): { path: Path; kind: Json }[] {
  return path.slice(0, -1).flatMap((_, index) => {
    const part = path.slice(0, index + 1);
    const field = fieldAt(root, body, part);
    const key = field === undefined ? undefined : discriminatorOf(field);
    if (key === undefined || valueAt(body, [...part, key]) !== undefined) return [];
    const kind = valueAt(resolved, [...part, key]) ?? valueAt(field?.default, [key]);
    return kind === undefined ? [] : [{ path: [...part, key], kind }];
  });
}

/** The schema of one kind of job, with all definitions. */
export function jobSchema(schema: Schema, kind: string): Schema | undefined {
  const variant = variantsOf(schema, schema).find(({ name }) => name === kind);
  if (variant === undefined) return undefined;
  return { ...variant.schema, ...(schema.$defs === undefined ? {} : { $defs: schema.$defs }) };
}

/** Whether it takes a fraction such as "8/255" beside a number. */
export function takesFraction(field: Schema): boolean {
  const types = field.anyOf?.map(({ type }) => type) ?? [];
  return types.includes("number") && types.includes("string");
}

export function isNumeric(field: Schema): boolean {
  return field.type === "number" || field.type === "integer" || takesFraction(field);
}

/** "Step size" for step_size. */
export function labelOf(key: string): string {
  const words = key.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A description as one line. */
export function sentencesOf(field: Schema): string | undefined {
  return field.description?.replaceAll(/\s+/g, " ").replaceAll("`", "").trim();
}

const ABBREVIATIONS = /\b(?:Figs?|Eqs?|al|vs|e\.g|i\.e)$/;
/** A shorter beginning, such as a name and a citation, says too little by itself. */
const TOO_SHORT = 45;

/** The first sentence of a description; with the second where it is very short. */
export function firstSentence(field: Schema): string | undefined {
  const text = sentencesOf(field);
  if (text === undefined) return undefined;
  for (const { index } of text.matchAll(/[.:](?=\s+(?:[A-Z0-9]|[a-z_0-9]+:))/g)) {
    const sentence = text.slice(0, index);
    if (!ABBREVIATIONS.test(sentence) && index >= TOO_SHORT) return `${sentence}.`;
  }
  return text;
}

/** Properties that say of what kind an object is, and are no fields of their own. */
export function isDiscriminator(property: Schema): boolean {
  return property.const !== undefined;
}

export type { JsonObject };
