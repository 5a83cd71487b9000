/**
 * The page's address: filters and order under REST's own names, then what is shown and chosen.
 *
 * `/jobs?status=failed&metadata[owner]=anna&result[clean]=>=0.9&sort=-created_at&selected=job_…`
 */

import type { JobsParameters, Status } from "@/api/queries";
import { formatShare } from "@/format/numbers";
import { kindTitle, methodTitle, shortId } from "@/format/names";
import { parseMeasure } from "@/format/measures";
import { threatModelTitle } from "@/format/threat_model";

export const DEFAULT_SORT = "-created_at";
export const PAGE_SIZES = [50, 100, 200] as const;
export const STATUSES: readonly Status[] = [
  "running",
  "pausing",
  "cancelling",
  "queued",
  "succeeded",
  "failed",
  "paused",
  "cancelled",
];
const WORDS = ["method", "student", "dataset", "sweep", "q"] as const;
const KEYED = /^(metadata|result)\[(.+)\]$/;

export type Filters = Pick<
  JobsParameters,
  "status" | "kind" | "metadata" | "result" | (typeof WORDS)[number]
>;

export interface View {
  filters: Filters;
  sort: string;
  /** Cursor of the page; the first one has none. */
  after: string | undefined;
  limit: number;
  /** Ids of columns; undefined for the usual ones. */
  columns: readonly string[] | undefined;
  /** Which accuracies stand in columns: see measures.ts. */
  scope: string | undefined;
  selected: ReadonlySet<string>;
}

export function readView(parameters: URLSearchParams): View {
  const limit = Number(parameters.get("limit"));
  const columns = parameters.getAll("column");
  return {
    filters: readFilters(parameters),
    sort: parameters.get("sort") ?? DEFAULT_SORT,
    after: parameters.get("after") ?? undefined,
    limit: PAGE_SIZES.find((size) => size === limit) ?? PAGE_SIZES[0],
    columns: columns.length === 0 ? undefined : columns,
    scope: parameters.get("scope") ?? undefined,
    selected: new Set((parameters.get("selected") ?? "").split(",").filter(Boolean)),
  };
}

/** What is no status or kind is sent as it is: the service says what would be right. */
function readFilters(parameters: URLSearchParams): Filters {
  const filters: Filters = {};
  const statuses = parameters.getAll("status");
  const kinds = parameters.getAll("kind");
  if (statuses.length > 0) filters.status = statuses as NonNullable<Filters["status"]>;
  if (kinds.length > 0) filters.kind = kinds as NonNullable<Filters["kind"]>;
  for (const name of WORDS) {
    const value = parameters.get(name);
    if (value) filters[name] = value;
  }
  for (const [name, value] of parameters) {
    const [, group, key] = KEYED.exec(name) ?? [];
    if (group === undefined || key === undefined) continue;
    const entries = group === "metadata" ? (filters.metadata ??= {}) : (filters.result ??= {});
    entries[key] = value;
  }
  return filters;
}

/** REST's parameters. Keys go into an address as they are, so they are encoded here. */
export function toQuery(filters: Filters): Filters {
  const query = { ...filters };
  if (filters.metadata !== undefined) query.metadata = encodeKeys(filters.metadata);
  if (filters.result !== undefined) query.result = encodeKeys(filters.result);
  return query;
}

function encodeKeys(entries: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries).map(([key, value]) => [encodeURIComponent(key), value]),
  );
}

export type Changes = Record<string, string | readonly string[] | undefined>;

/** The address with other values. Another filter or order begins at the first page. */
export function changed(parameters: URLSearchParams, changes: Changes): URLSearchParams {
  const next = new URLSearchParams(parameters);
  const keepsPage = Object.keys(changes).every((name) => KEEPS_PAGE.has(name));
  if (!keepsPage) next.delete("after");
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    const values = value === undefined ? [] : typeof value === "string" ? [value] : value;
    for (const one of values) if (one !== "") next.append(name, one);
  }
  return next;
}

/** An order by a result holds within one data set only. */
export function sortChanges(sort: string, datasetId: string | undefined): Changes {
  const isByResult = !sort.endsWith("created_at");
  return isByResult && datasetId !== undefined ? { sort, dataset: datasetId } : { sort };
}

const KEEPS_PAGE = new Set(["after", "selected", "column", "scope"]);

/** The address without any filter, at its first page. */
export function cleared(parameters: URLSearchParams): URLSearchParams {
  const changes: Changes = { after: undefined };
  for (const name of parameters.keys()) if (isFilter(name)) changes[name] = undefined;
  return changed(parameters, changes);
}

function isFilter(name: string): boolean {
  return name === "status" || name === "kind" || KEYED.test(name) || WORDS.some((w) => w === name);
}

export interface Chip {
  label: string;
  value: string;
  /** What removes it. */
  changes: Changes;
}

/** One for each filter but the text, which stands in its own field. */
export function chipsOf(filters: Filters): Chip[] {
  const { status, kind, metadata, result } = filters;
  const chips: Chip[] = [];
  if (status) chips.push(chip("Status", status.join(" or "), "status"));
  if (kind) chips.push(chip("Kind", kind.map(kindTitle).join(" or "), "kind"));
  if (filters.method) chips.push(chip("Method", methodTitle(filters.method), "method"));
  if (filters.student) chips.push(chip("Student", filters.student, "student"));
  if (filters.dataset) chips.push(chip("Data", filters.dataset, "dataset"));
  if (filters.sweep) chips.push(chip("Sweep", shortId(filters.sweep), "sweep"));
  for (const [key, value] of Object.entries(metadata ?? {})) {
    chips.push(chip(key, value, `metadata[${key}]`));
  }
  for (const [key, value] of Object.entries(result ?? {})) {
    chips.push(chip(measureTitle(key), boundsText(value), `result[${key}]`));
  }
  return chips;
}

function chip(label: string, value: string, name: string): Chip {
  return { label, value, changes: { [name]: undefined } };
}

/** "AutoAttack, L∞ 8/255". */
export function measureTitle(key: string): string {
  const last = key.startsWith("last:");
  const { label, threatModel } = parseMeasure(last ? key.slice("last:".length) : key);
  const threat = threatModel === undefined ? "" : `, ${threatModelTitle(threatModel)}`;
  return `${label}${threat}${last ? ", last epoch" : ""}`;
}

const SIGNS: Record<string, string> = { ">=": "≥", "<=": "≤", ">": ">", "<": "<" };

/** ">=0.4,<0.5" as "≥ 40.00 % and < 50.00 %"; other text as it is. */
function boundsText(value: string): string {
  const bounds = value.split(",").map((bound) => {
    const [, sign = "", number = ""] = /^(>=|<=|>|<)(.+)$/.exec(bound) ?? [];
    const share = Number(number);
    if (number === "" || !Number.isFinite(share)) return bound;
    return `${SIGNS[sign] ?? sign} ${formatShare(share)} %`;
  });
  return bounds.join(" and ");
}
