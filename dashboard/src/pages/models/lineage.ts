/** Teachers, then their students by method, under the deciding attack of one section. Pure. */

import type { Section, Row } from "./data";

export interface TreeModel {
  id: string;
  name: string;
  /** Undefined for a teacher that was not measured in this section. */
  row: Row | undefined;
  groups: TreeGroup[];
}

export interface TreeGroup {
  /** Empty for students of unknown method. */
  method: string;
  students: TreeModel[];
  /** Lowest and highest accuracy under the deciding attack, in [0, 1]. */
  range: readonly [number, number] | undefined;
}

/** Returns the trees of a section; none where nothing in it was distilled. */
export function lineageOf(section: Section, names: ReadonlyMap<string, string>): TreeModel[] {
  const rows = new Map(section.rows.map((row) => [row.model_id, row]));
  const students = new Map<string, Row[]>();
  for (const row of section.rows) {
    if (row.teacher_id === null) continue;
    students.set(row.teacher_id, [...(students.get(row.teacher_id) ?? []), row]);
  }
  const model = (id: string, above: ReadonlySet<string>): TreeModel => {
    const row = rows.get(id);
    const own = above.has(id) ? [] : (students.get(id) ?? []);
    const path = new Set([...above, id]);
    const name = row?.name ?? names.get(id) ?? "a model that was deleted";
    return { id, name, row, groups: groupsOf(section, own, (child) => model(child, path)) };
  };
  const roots = [...students.keys()].filter((id) => (rows.get(id)?.teacher_id ?? null) === null);
  return roots.map((id) => model(id, new Set()));
}

function groupsOf(
  section: Section,
  students: readonly Row[],
  model: (id: string) => TreeModel,
): TreeGroup[] {
  const methods = [...new Set(students.map(({ method }) => method ?? ""))];
  return methods.map((method) => {
    const own = students.filter((row) => (row.method ?? "") === method);
    const values = own.flatMap(({ results }) => results[section.deciding]?.value ?? []);
    return {
      method,
      students: own.map((row) => model(row.model_id)),
      range: values.length === 0 ? undefined : [Math.min(...values), Math.max(...values)],
    };
  });
}
