/** What a report's analyses found, as lines of charts and rows of tables. Pure. */

import type { Job } from "@/api/queries";
import type { Series } from "@/charts";
import { formatNumber, formatPercent, formatSignificant } from "@/format/numbers";

import type { Report } from "../data";

export interface RadiusSweep {
  steps: number;
  series: Series[];
  rows: readonly (readonly [radius: number, accuracy: number])[];
}

const RADIUS_SWEEP = "radius_sweep";

/** Accuracy by radius with its band, and the reference's where it was measured. */
export function radiusSweepOf(report: Report, network: string): RadiusSweep | undefined {
  const result = report.results[network]?.[RADIUS_SWEEP] as object | undefined;
  if (result === undefined) return undefined;
  const data = result as {
    radii?: number[];
    accuracy?: number[];
    intervals?: [number, number][];
    steps?: number;
  };
  if (data.radii === undefined || data.accuracy === undefined) return undefined;
  const { radii, accuracy, intervals = [], steps = 0 } = data;
  const rows = radii.map((radius, index) => [radius, 100 * (accuracy[index] ?? 0)] as const);
  const band = radii.flatMap((radius, index) => {
    const interval = intervals[index];
    return interval === undefined ? [] : [[radius, 100 * interval[0], 100 * interval[1]] as const];
  });
  const label = network === "model" ? "model" : "student";
  return { steps, rows, series: [{ id: label, label, color: "robust", points: rows, band }] };
}

interface Bins {
  ece: number;
  count: number[];
  confidence: number[];
  accuracy: number[];
}

/** Accuracy by confidence of the bins that have images: a calibrated network is on the diagonal. */
export function calibrationOf(
  report: Report,
  network: string,
): { series: Series[]; sentence: string } | undefined {
  const result = report.results[network]?.calibration as Partial<Record<string, Bins>> | undefined;
  const { clean, adversarial } = result ?? {};
  if (clean?.confidence === undefined || adversarial?.confidence === undefined) return undefined;
  const diagonal: Series = {
    id: "diagonal",
    label: "calibrated",
    color: "rest",
    dashed: true,
    points: [
      [0, 0],
      [100, 100],
    ],
  };
  return {
    series: [
      { id: "clean", label: "clean", color: "clean", points: binPoints(clean) },
      { id: "robust", label: "attacked", color: "robust", points: binPoints(adversarial) },
      diagonal,
    ],
    sentence:
      `Expected calibration error ${formatPercent(clean.ece, 1)} clean, ` +
      `${formatPercent(adversarial.ece, 1)} under PGD-20.`,
  };
}

function binPoints({ count, confidence, accuracy }: Bins): [number, number][] {
  return count
    .flatMap((images, index): [number, number][] =>
      images > 0 ? [[100 * (confidence[index] ?? 0), 100 * (accuracy[index] ?? 0)]] : [],
    )
    .sort((a, b) => a[0] - b[0]);
}

export interface Finding {
  key: string;
  title: string;
  value: string;
}

const IN_RESULTS = ["clean", "pgd", "cw", "autoattack", "held_out_clean", "held_out_pgd"];

/** Numbers that no table of accuracies has, with their units; each title names its attack. */
export function findingsOf(job: Job): Finding[] {
  const results = job.results?.[job.kind === "evaluation" ? "model" : "best"] ?? {};
  return Object.values(job.measures).flatMap((measure): Finding[] => {
    const { key, name, title, unit, scale } = measure;
    const value = results[key];
    if (value === undefined || IN_RESULTS.includes(name)) return [];
    const isShare = unit === "%" || unit === "points";
    const text = isShare ? formatNumber(value * scale, 2) : formatSignificant(value * scale);
    return [{ key, title, value: unit === "" ? text : `${text} ${unit}` }];
  });
}
