/**
 * Keys of results, such as `pgd-20@linf:8/255`: attack, steps, settings, threat model, run.
 * A job's own `measures` say the same; a list of jobs has only the keys.
 */

import { parseThreatModel, type ThreatModel } from "./threat_model";

export interface Measure {
  key: string;
  /** clean, pgd, cw, autoattack, held_out_clean, held_out_pgd, or an analysis' name. */
  name: string;
  /** Without the threat model: "PGD-20", "AutoAttack". */
  label: string;
  steps?: number;
  threatModel?: ThreatModel;
  /** 2 for the second of two equal attacks. */
  run: number;
}

const TITLES: Record<string, string> = {
  clean: "Clean",
  pgd: "PGD",
  cw: "CW",
  autoattack: "AutoAttack",
  held_out_clean: "Held-out clean",
  held_out_pgd: "Held-out PGD",
};
const ATTACKS = new Set(["pgd", "cw", "autoattack"]);
const KEY = /^([A-Za-z0-9_]+)(?:-([0-9]+))?(?::([^@#]*))?(?:@([^#]+))?(?:#([0-9]+))?$/;

/** Reads a result's key. A key of another form is a name without a threat model. */
export function parseMeasure(key: string): Measure {
  const [, name = key, steps, settings, threat, run = "1"] = KEY.exec(key) ?? [];
  const threatModel = threat === undefined ? undefined : parseThreatModel(threat);
  let label = TITLES[name] ?? sentenceCase(name);
  if (steps !== undefined) label += `-${steps}`;
  if (settings) label += ` (${settings.replaceAll(":", ", ").replaceAll("=", " ")})`;
  if (run !== "1") label += ` (run ${run})`;
  return {
    key,
    name,
    label,
    run: Number(run),
    ...(steps === undefined ? {} : { steps: Number(steps) }),
    ...(threatModel === undefined ? {} : { threatModel }),
  };
}

/** Whether it is the accuracy on test images under an attack. */
export function isTestRobustness(measure: Measure): boolean {
  return ATTACKS.has(measure.name) && measure.threatModel !== undefined;
}

export interface Result {
  measure: Measure;
  /** In [0, 1]. */
  value: number;
}

/**
 * The first result that decides, as REST says which do: `deciding` of a job, model or node. Of a
 * training it is that under its own threat model.
 */
export function decidingResult(
  results: Record<string, number>,
  deciding: readonly string[],
): Result | undefined {
  const key = deciding.find((one) => results[one] !== undefined);
  const value = key === undefined ? undefined : results[key];
  return key === undefined || value === undefined
    ? undefined
    : { measure: parseMeasure(key), value };
}

/** The held-out robust accuracy that chooses the best epoch. */
export function heldOutRobustMeasure(results: Record<string, number>): Measure | undefined {
  return Object.keys(results)
    .map(parseMeasure)
    .find((measure) => measure.name === "held_out_pgd");
}

function sentenceCase(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
