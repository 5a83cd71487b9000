/**
 * The text of a job or a sweep as YAML 1.2, and changes of it that leave comments and order as they
 * are. The text is the truth: the form shows what it says.
 */

import {
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
  type YAMLMap,
} from "yaml";

import { isObject, valueAt, type Json, type JsonObject, type Path } from "../spec/values";
import { compact } from "./style";

const FORMAT = { lineWidth: 0, flowCollectionPadding: false } as const;
/** Fields of a job and of a sweep as people write them. */
const ORDER = [
  ...["kind", "name", "metadata", "license", "preset", "teacher", "model", "reference"],
  ...["start_from", "method", "igdm", "student", "data", "adversary", "radius", "schedule"],
  ...["averaging", "awp", "evaluation", "export", "seed", "base", "rows", "axes"],
];
/** Against a few lines of aliases that unfold to gigabytes. */
const MAX_ALIASES = 100;

export interface SyntaxProblem {
  message: string;
  /** From 1. */
  line: number;
}

export interface ParsedText {
  /** Undefined where the text is no mapping, or not YAML. */
  body: JsonObject | undefined;
  problem: SyntaxProblem | undefined;
}

export function parseText(text: string): ParsedText {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const error = document.errors[0];
  if (error !== undefined) {
    const { line } = lines.linePos(error.pos[0]);
    return { body: undefined, problem: { message: sentence(error.message), line } };
  }
  try {
    const body: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    if (isObject(body)) return { body: body, problem: undefined };
  } catch (failure) {
    const message = failure instanceof Error ? sentence(failure.message) : "This is not YAML.";
    return { body: undefined, problem: { message, line: 1 } };
  }
  const message = "A job is a mapping of names to values, such as “kind: distillation”.";
  return { body: undefined, problem: { message, line: 1 } };
}

/** The text of a body: small objects on one line, as people write them. */
export function textOf(body: JsonObject): string {
  const place = (key: string) => ORDER.indexOf(key) >>> 0; // unknown ones last
  const entries = Object.entries(body).sort(([a], [b]) => place(a) - place(b));
  const document = parseDocument(JSON.stringify(Object.fromEntries(entries)));
  compact(document);
  return document.toString(FORMAT);
}

/** The text as a change of any field would write it: what is marked then is the change alone. */
export function normalized(text: string): string {
  const document = parseDocument(text);
  return document.errors.length > 0 ? text : document.toString(FORMAT);
}

/** The text with a value at a path; `undefined` removes it, with objects that are empty then. */
export function changeText(text: string, path: Path, value: Json | undefined): string {
  const document = parseDocument(text);
  if (document.errors.length > 0) return text;
  if (value === undefined) remove(document, path);
  else insert(document, path, value);
  return document.toString(FORMAT);
}

function insert(document: Document, path: Path, value: Json): void {
  const node = document.getIn(path, true);
  if (isScalar(node) && !isContainer(value)) {
    node.value = value;
    delete node.source;
    delete node.format;
    return;
  }
  makeWay(document, path);
  const isNew = node === undefined;
  const created = document.createNode(value);
  compact(created);
  document.setIn(path, created);
  if (!isNew) return;
  order(document, path);
}

/** Moves a new field of the body to where people look for it. */
function order(document: Document, path: Path): void {
  const place = ORDER.indexOf(String(path.at(-1)));
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const isOfJob = path.length === 1 || (path.length === 2 && path[0] === "base");
  if (place < 0 || !isOfJob || !isMap(parent)) return;
  const pair = parent.items.pop();
  if (pair === undefined) return;
  const next = parent.items.findIndex((item) => ORDER.indexOf(keyOf(item)) > place);
  parent.items.splice(next < 0 ? parent.items.length : next, 0, pair);
}

/** A text or null where an object is needed becomes one. */
function makeWay(document: Document, path: Path): void {
  for (let length = 1; length < path.length; length += 1) {
    const node = document.getIn(path.slice(0, length), true);
    if (node === undefined) return;
    if (!isMap(node) && !isSeq(node)) {
      document.setIn(path.slice(0, length), document.createNode({}));
    }
  }
}

function isContainer(value: Json): boolean {
  return typeof value === "object" && value !== null;
}

function remove(document: Document, path: Path): void {
  if (document.hasIn(path)) document.deleteIn(path);
  for (let length = path.length - 1; length > 0; length -= 1) {
    const parent = document.getIn(path.slice(0, length), true);
    if (!isMap(parent) || parent.items.length > 0) return;
    document.deleteIn(path.slice(0, length));
  }
}

/** The line, from 1, of the field at a path; of a missing one that of the object it is missing in. */
export function lineOf(text: string, path: Path): number | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  for (let length = path.length; length > 0; length -= 1) {
    const offset = offsetOf(document, path.slice(0, length));
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

function offsetOf(document: Document, path: Path): number | undefined {
  const key = path.at(-1);
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (isMap(parent)) {
    const pair = parent.items.find((item: Pair) => isKey(item, key));
    return pair === undefined ? undefined : startOf(pair.key);
  }
  return isSeq(parent) ? startOf(parent.items[Number(key)]) : undefined;
}

function isKey(pair: Pair, key: string | number | undefined): boolean {
  return isPair(pair) && isScalar(pair.key) && String(pair.key.value) === String(key);
}

function startOf(node: unknown): number | undefined {
  return (node as Node | undefined)?.range?.[0];
}

// -- sweeps

/** Whether a body is that of a sweep. */
export function isSweep(body: JsonObject): boolean {
  return Object.hasOwn(body, "base");
}

/** The part of a body that describes one job, and its path. */
export function jobPart(body: JsonObject): { job: JsonObject; prefix: Path } {
  if (!isSweep(body)) return { job: body, prefix: [] };
  const base = valueAt(body, ["base"]);
  return { job: isObject(base) ? base : {}, prefix: ["base"] };
}

/** A job's text as a sweep's, with these axes. What names a job names the sweep. */
export function asSweep(text: string, axes: JsonObject): string {
  const document = parseDocument(text);
  const map = document.contents;
  if (!isMap(map)) return text;
  const comment = takeComment(map);
  const ownKeys = new Set(["name", "metadata", ...Object.keys(axes)]);
  const own = map.items.filter((pair) => ownKeys.has(keyOf(pair)));
  map.items = map.items.filter((pair) => !own.includes(pair));
  const sweep = document.createNode({ base: null, axes } as unknown) as YAMLMap;
  compact(sweep);
  sweep.items.unshift(...own.filter((pair) => !Object.hasOwn(axes, keyOf(pair))));
  sweep.set("base", map);
  putComment(sweep, comment);
  document.contents = sweep as unknown as typeof document.contents;
  return document.toString(FORMAT);
}

/** A sweep's text as that of its base alone. */
export function asJob(text: string): string {
  const document = parseDocument(text);
  const sweep = document.contents;
  const base = isMap(sweep) ? sweep.get("base", true) : undefined;
  if (!isMap(sweep) || !isMap(base)) return text;
  const comment = takeComment(sweep);
  const own = sweep.items.filter((pair) => ["name", "metadata"].includes(keyOf(pair)));
  const position = base.items.findIndex((pair) => keyOf(pair) === "kind") + 1;
  base.items.splice(position, 0, ...(own as typeof base.items));
  putComment(base, comment);
  document.contents = base as unknown as typeof document.contents;
  return document.toString(FORMAT);
}

/** The comment at the head is the first key's; it stays at the head. */
function takeComment(map: YAMLMap): string | null {
  const key = map.items[0]?.key;
  if (!isScalar(key)) return null;
  const comment = key.commentBefore ?? null;
  key.commentBefore = null;
  return comment;
}

function putComment(map: YAMLMap, comment: string | null): void {
  const key = map.items[0]?.key;
  if (comment !== null && isScalar(key)) key.commentBefore = comment;
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : "";
}

function sentence(message: string): string {
  const line = message.split("\n")[0]?.trim() ?? "";
  return /[.!?]$/.test(line) ? line : `${line}.`;
}
