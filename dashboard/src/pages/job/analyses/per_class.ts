/** Accuracies of classes, from a report. Pure. */

import type { Report } from "../data";
import type { ThreatModel } from "@/format/threat_model";

export interface ClassRow {
  index: number;
  name: string;
  /** In [0, 1]; null for a class without images. */
  clean: number | null;
  /** Under each attack, the one that decides last. */
  attacks: readonly (number | null)[];
}

export interface PerClass {
  attacks: readonly { key: string; label: string }[];
  rows: readonly ClassRow[];
}

const ATTACKS = ["pgd", "cw", "autoattack"];
/** A table has room for clean accuracy and so many attacks. */
const MOST_ATTACKS = 3;

/**
 * Undefined without accuracies of classes. Attacks of the one threat model only; `deciding`: keys of
 * the results that decide.
 */
export function perClassOf(
  report: Report,
  network: string,
  threatModel: ThreatModel,
  deciding: readonly string[],
): PerClass | undefined {
  const rankOf = (key: string) => Number(deciding.includes(key));
  const results = Object.values(report.results[network] ?? {});
  const clean = results.find(({ measure }) => measure.name === "clean")?.per_class;
  if (clean == null) return undefined;
  const attacks = results
    .filter(({ measure, per_class: classes }) => {
      const { name, norm, radius } = measure;
      const isSame = norm === threatModel.norm && radius === threatModel.radius;
      return ATTACKS.includes(name) && isSame && classes != null;
    })
    .sort((a, b) => rankOf(a.measure.key) - rankOf(b.measure.key))
    .slice(-MOST_ATTACKS);
  const names = report.data.description.class_names;
  const rows = clean.map((share, index) => ({
    index,
    name: names[index] ?? String(index),
    clean: share,
    attacks: attacks.map(({ per_class: classes }) => classes?.[index] ?? null),
  }));
  // A head has no room for what differs from the usual version: the results' table says it.
  const heads = attacks.map(({ measure: { key, label } }) => ({
    key,
    label: label.replace(/ \(.*\)$/, ""),
  }));
  return { attacks: heads, rows };
}

/** The class with the lowest accuracy under the attack that decides. */
export function weakest({ rows }: PerClass): ClassRow | undefined {
  const share = (row: ClassRow) => row.attacks.at(-1);
  return rows
    .filter((row) => share(row) != null)
    .sort((a, b) => (share(a) ?? 0) - (share(b) ?? 0))[0];
}
