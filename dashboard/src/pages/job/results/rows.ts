/** Results as rows of tables, one table for each threat model. Pure. */

import type { Job, Model } from "@/api/queries";
import type { Interval } from "@/format/statistics";
import { threatModelKey, type ThreatModel } from "@/format/threat_model";

import { attackDetail } from "../subject";

type Measure = Job["measures"][string];

export interface Accuracy {
  /** In [0, 1]. */
  value: number;
  interval: Interval | undefined;
  images: number | undefined;
}

export interface ResultRow {
  key: string;
  label: string;
  detail: string | undefined;
  isClean: boolean;
  isDeciding: boolean;
  /** Of the best epoch; of an evaluation, of its model. */
  main: Accuracy | undefined;
  last: Accuracy | undefined;
  teacher: Accuracy | undefined;
}

export interface ResultTable {
  threatModel: ThreatModel | undefined;
  rows: readonly ResultRow[];
}

const ATTACKS = ["pgd", "cw", "autoattack"];

interface Known {
  job: Job;
  /** The teacher's own results; only those on the same data set are shown. */
  teacher: Model | undefined;
  /** Of the training: its table comes first. */
  threatModel: ThreatModel | undefined;
}

export function resultTables(known: Known): ResultTable[] {
  const { job, threatModel: own } = known;
  const measures = Object.values(job.measures);
  const threatModels = new Map<string, ThreatModel>();
  if (own !== undefined) threatModels.set(threatModelKey(own), own);
  for (const measure of measures.filter(isAttack)) {
    const threatModel = threatModelOf(measure);
    if (threatModel !== undefined) threatModels.set(threatModelKey(threatModel), threatModel);
  }
  const tables = [...threatModels.values()].map((threatModel): ResultTable => {
    const attacks = measures.filter(
      (one) => isAttack(one) && keyOf(one) === threatModelKey(threatModel),
    );
    return { threatModel, rows: rowsOf(known, attacks) };
  });
  return tables.filter(({ rows }) => rows.some(({ isClean }) => !isClean)).length > 0
    ? tables.filter(({ rows }) => rows.some(({ isClean }) => !isClean))
    : cleanTable(known);
}

/** Before any attack has been run, and where none will be. */
function cleanTable(known: Known): ResultTable[] {
  const rows = rowsOf(known, []);
  return rows.length === 0 ? [] : [{ threatModel: undefined, rows }];
}

function rowsOf(known: Known, attacks: readonly Measure[]): ResultRow[] {
  const { job } = known;
  const clean = Object.values(job.measures).filter(({ name }) => name === "clean");
  const rows = [...clean, ...attacks].flatMap((measure): ResultRow[] => {
    const row = rowOf(known, measure);
    return row.main === undefined && row.last === undefined ? [] : [row];
  });
  return rows.map((row) => ({ ...row, isDeciding: job.deciding.includes(row.key) }));
}

function rowOf({ job, teacher }: Known, measure: Measure): ResultRow {
  const { key, name, label, steps, version, run } = measure;
  const details = [attackDetail(job, name, steps), version ?? undefined].filter(Boolean);
  return {
    key,
    label: run > 1 ? `${label} (run ${run})` : label,
    detail: name === "clean" ? undefined : details[0],
    isClean: name === "clean",
    isDeciding: false,
    main: accuracyOf(job, job.kind === "evaluation" ? "model" : "best", key),
    last: accuracyOf(job, "last", key),
    teacher: teacherAccuracy(job, teacher, key),
  };
}

function accuracyOf(job: Job, network: string, key: string): Accuracy | undefined {
  const value = job.results?.[network]?.[key];
  if (value === undefined) return undefined;
  const interval = job.intervals[network]?.[key];
  return {
    value,
    interval: interval && [interval.low, interval.high],
    images: interval?.images,
  };
}

function teacherAccuracy(job: Job, teacher: Model | undefined, key: string): Accuracy | undefined {
  const result = teacher?.results[key];
  if (result === undefined) return undefined;
  // Of other images: another number.
  if (result.dataset_id !== job.dataset_id) return undefined;
  const { value, low, high, images } = result;
  return {
    value,
    interval: low === null || high === null ? undefined : [low, high],
    images: images ?? undefined,
  };
}

function isAttack({ name, accuracy, norm }: Measure): boolean {
  return accuracy && norm !== null && ATTACKS.includes(name);
}

function threatModelOf({ norm, radius }: Measure): ThreatModel | undefined {
  return norm === null || radius === null ? undefined : { norm, radius };
}

function keyOf(measure: Measure): string | undefined {
  const threatModel = threatModelOf(measure);
  return threatModel && threatModelKey(threatModel);
}
