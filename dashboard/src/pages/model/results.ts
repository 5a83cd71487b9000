/** A model's results by data set and threat model. Pure. */

import type { Model } from "@/api/queries";
import { isTestRobustness, parseMeasure, type Measure } from "@/format/measures";
import { threatModelKey, type ThreatModel } from "@/format/threat_model";

type Value = NonNullable<Model["results"]>[string];

export interface ResultRow {
  measure: Measure;
  value: Value;
}

export interface ResultGroup {
  key: string;
  datasetId: string | null;
  /** Undefined where nothing was attacked. */
  threatModel: ThreatModel | undefined;
  /** Clean first, then the attacks, the strongest last. */
  rows: ResultRow[];
  /** As the model says. */
  deciding: ResultRow | undefined;
}

/** Accuracies on test images; unlike threat models and data sets never share a group. */
export function groupResults({
  results,
  deciding,
}: Pick<Model, "results" | "deciding">): ResultGroup[] {
  const rows = Object.entries(results).map(([key, value]) => ({
    measure: parseMeasure(key),
    value,
  }));
  const robust = rows.filter(({ measure }) => isTestRobustness(measure));
  const clean = rows.filter(({ measure }) => measure.key === "clean");
  const groups = new Map<string, ResultGroup>();
  for (const row of robust) add(groups, row, row.measure.threatModel);
  for (const row of clean) {
    const same = [...groups.values()].filter(({ datasetId }) => datasetId === row.value.dataset_id);
    for (const group of same) group.rows.unshift(row);
    if (same.length === 0) add(groups, row, undefined);
  }
  return [...groups.values()].map((group) => ({
    ...group,
    deciding: group.rows.find(({ measure }) => deciding.includes(measure.key)),
  }));
}

function add(groups: Map<string, ResultGroup>, row: ResultRow, threat: ThreatModel | undefined) {
  const datasetId = row.value.dataset_id;
  const key = `${datasetId ?? ""} ${threat === undefined ? "" : threatModelKey(threat)}`;
  const group = groups.get(key) ?? {
    key,
    datasetId,
    threatModel: threat,
    rows: [],
    deciding: undefined,
  };
  group.rows.push(row);
  groups.set(key, group);
}
