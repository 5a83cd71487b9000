/** What the page shows, as its address says it. Pure. */

import type { Model } from "@/api/queries";
import { threatModelKey } from "@/format/threat_model";

import type { Row, Section } from "./data";

export type Role = "all" | "students" | "teachers";

export interface Filters {
  text: string;
  role: Role;
  dataset: string;
  threat: string;
  method: string;
  architecture: string;
}

export const CHOICES = ["dataset", "threat", "method", "architecture"] as const;

export function readFilters(parameters: URLSearchParams): Filters {
  const role = parameters.get("role");
  const choice = (name: string) => parameters.get(name) ?? "";
  return {
    text: choice("q"),
    role: role === "students" || role === "teachers" ? role : "all",
    dataset: choice("dataset"),
    threat: choice("threat"),
    method: choice("method"),
    architecture: choice("architecture"),
  };
}

/** "linf:8/255"; "" where nothing was attacked. */
export function threatKey({ threat_model: threat }: Section): string {
  return threat === null ? "" : threatModelKey(threat);
}

/** Tells the sections of one leaderboard apart. */
export function sectionKey(section: Section): string {
  return `${section.dataset_id} ${threatKey(section)}`;
}

/** The ranking of most models first: it is what the project is about. */
export function largestFirst(sections: readonly Section[]): Section[] {
  return [...sections].sort((a, b) => b.compared - a.compared);
}

/** Ids of the models from which others were distilled. */
export function teacherIds(sections: readonly Section[]): ReadonlySet<string> {
  const rows = sections.flatMap((section) => section.rows);
  return new Set(rows.flatMap((row) => (row.teacher_id === null ? [] : [row.teacher_id])));
}

/** Sections with the rows that pass; those without a row are left out. */
export function applyFilters(sections: readonly Section[], filters: Filters): Section[] {
  const teachers = teacherIds(sections);
  return sections
    .filter((section) => filters.dataset === "" || section.dataset === filters.dataset)
    .filter((section) => filters.threat === "" || threatKey(section) === filters.threat)
    .map((section) => ({
      ...section,
      rows: section.rows.filter((row) => passes(row, filters, teachers)),
    }))
    .filter(({ rows }) => rows.length > 0);
}

function passes(row: Row, filters: Filters, teachers: ReadonlySet<string>): boolean {
  const { role, method, architecture } = filters;
  const isStudent = row.teacher_id !== null;
  if (role === "students" && !isStudent) return false;
  if (role === "teachers" && isStudent && !teachers.has(row.model_id)) return false;
  if (method !== "" && row.method !== method) return false;
  if (architecture !== "" && row.architecture !== architecture) return false;
  return hasText(filters.text, [row.name, row.architecture, row.method ?? ""]);
}

export function hasText(text: string, values: readonly string[]): boolean {
  const wanted = text.trim().toLowerCase();
  return values.some((value) => value.toLowerCase().includes(wanted));
}

/** Ready models that fit a section's images and are in none of its rows. */
export function notMeasured(section: Section, all: readonly Section[], models: readonly Model[]) {
  const measured = new Set(section.rows.map((row) => row.model_id));
  const sameData = all.filter(({ dataset_id: id }) => id === section.dataset_id);
  const onData = new Set(sameData.flatMap(({ rows }) => rows.map((row) => row.model_id)));
  const known = models.filter(({ id }) => onData.has(id));
  const shapes = new Set(known.map(shapeOf));
  return models.filter(
    (model) => model.status === "ready" && !measured.has(model.id) && shapes.has(shapeOf(model)),
  );
}

function shapeOf({ description }: Model): string {
  const { channels, height, width, classes } = description;
  return [channels, height, width, classes].join(" ");
}

/** Values to choose from, where there are several. */
export function choicesOf(
  sections: readonly Section[],
): Record<(typeof CHOICES)[number], string[]> {
  const rows = sections.flatMap((section) => section.rows);
  return {
    dataset: distinct(sections.map((section) => section.dataset)),
    threat: distinct(sections.map(threatKey)),
    method: distinct(rows.map((row) => row.method ?? "")),
    architecture: distinct(rows.map((row) => row.architecture)),
  };
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].filter((value) => value !== "").sort();
}
