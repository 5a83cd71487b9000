/** Words of the form where a setting's own name is not one. */

import { methodTitle } from "@/format/names";

import { labelOf } from "../spec/schema";
import type { Path } from "../spec/values";

const LABELS: Record<string, string> = {
  awp: "Adversarial weight perturbation (AWP)",
  igdm: "IGDM's term",
  license: "License",
  export: "Exports",
  limit: "At most",
  every_epochs: "Every epochs",
  dataset: "Data set",
  extra: "Extra images",
  gram: "Gram",
};
const ASIDES: Record<string, string> = {
  "adversary.radius": "L∞, pixels in [0, 1]",
  radius: "L∞, pixels in [0, 1]",
  "data.held_out": "share",
  "data.limit": "images",
  "evaluation.limit": "images",
};
const METHOD_PLACES: Record<string, string> = {
  starship: "STARSHIP (ECCV 2024)",
};

export function fieldLabel(path: Path): string {
  const key = String(path.at(-1));
  return LABELS[key] ?? labelOf(key);
}

/** At the label's right: unit or range. */
export function fieldAside(path: Path): string | undefined {
  return ASIDES[path.join(".")];
}

export function methodOption(name: string): string {
  return METHOD_PLACES[name] ?? methodTitle(name);
}

/** Names of kinds: of adversaries, decays, distances, analyses. */
const KINDS: Record<string, string> = {
  pgd: "PGD",
  cw: "CW",
  autoattack: "AutoAttack",
  n_fgsm: "N-FGSM",
  ema: "EMA",
  swa: "SWA",
  kl: "KL divergence",
  max_exp: "MaxExp",
  grad_cam: "Grad-CAM",
};

export function kindLabel(name: string): string {
  return KINDS[name] ?? labelOf(name);
}
