/** What a job's spec says of its subject: networks, threat model, images. Pure. */

import type { Dataset, Job } from "@/api/queries";
import { formatRadius, type ThreatModel } from "@/format/threat_model";
import { enumerate } from "@/format/numbers";

type Spec = Job["spec"];
export type TrainingSpec = Extract<Spec, { schedule: unknown }>;
export type EvaluationSpec = Extract<Spec, { model: unknown }>;
type EvaluatedSpec = Extract<Spec, { evaluation: unknown }>;
type Attack = EvaluatedSpec["evaluation"]["attacks"][number];

export function trainingSpec({ spec }: Job): TrainingSpec | undefined {
  return "schedule" in spec ? spec : undefined;
}

export function evaluationSpec({ spec }: Job): EvaluationSpec | undefined {
  return "model" in spec ? spec : undefined;
}

/** Of the training's adversary; of an evaluation, of attacks without a radius of their own. */
export function threatModelOf({ spec }: Job): ThreatModel | undefined {
  if ("adversary" in spec) return { norm: "linf", radius: spec.adversary.radius };
  return "radius" in spec ? { norm: "linf", radius: spec.radius } : undefined;
}

/** Number of training images that are held out to choose the best epoch. */
export function heldOutImages(job: Job, dataset: Dataset | undefined): number | undefined {
  const spec = trainingSpec(job);
  const trainImages = dataset?.description?.train_images;
  if (spec === undefined || trainImages === undefined) return undefined;
  const used = Math.min(spec.data.limit ?? trainImages, trainImages);
  return Math.max(1, Math.round(used * spec.data.held_out));
}

export function testImages(job: Job, dataset: Dataset | undefined): number | undefined {
  const all = dataset?.description?.test_images;
  if (all === undefined || !("evaluation" in job.spec)) return undefined;
  return Math.min(all, job.spec.evaluation.limit ?? all);
}

/** "small_cnn, width 8". */
export function networkTitle(network: { architecture: string; width?: unknown }): string {
  const { architecture, width } = network;
  return typeof width === "number" ? `${architecture}, width ${width}` : architecture;
}

/** "PGD-10 (step 0.0375)", the training's adversary. */
export function adversaryTitle({ adversary }: TrainingSpec): string {
  if (adversary.name === "n_fgsm") return "N-FGSM";
  return `PGD-${adversary.steps} (step ${formatRadius(adversary.step_size)})`;
}

/** "PGD-20, CW-30 and standard AutoAttack": attacks of the test. */
export function attackTitles({ spec }: Job): string {
  if (!("evaluation" in spec)) return "";
  return enumerate(spec.evaluation.attacks.map(attackTitle));
}

function attackTitle(attack: Attack): string {
  if (attack.name === "autoattack") {
    const changes = autoAttackChanges(attack);
    return changes === "" ? "standard AutoAttack" : `AutoAttack (${changes})`;
  }
  return `${attack.name.toUpperCase()}-${attack.steps}`;
}

/** The second, fainter line of an attack's name: "step 0.0375", "margin loss". */
export function attackDetail(job: Job, name: string, steps: number | null): string | undefined {
  if (!("evaluation" in job.spec)) return undefined;
  const attack = job.spec.evaluation.attacks.find(
    (one) => one.name === name && (!("steps" in one) || one.steps === steps),
  );
  if (attack === undefined) return undefined;
  if (attack.name === "cw") return "margin loss";
  if (attack.name === "autoattack") {
    const count = attack.stages.length;
    const kind = autoAttackChanges(attack) === "" ? "standard, " : "";
    return `${kind}${count} ${count === 1 ? "attack" : "attacks"}`;
  }
  const starts = attack.restarts > 1 ? `, ${attack.restarts} starts` : "";
  return `step ${formatRadius(attack.step_size)}${starts}`;
}

const STANDARD_STAGES = 4;
const STANDARD_QUERIES = 5000;
const STANDARD_ITERATIONS = 100;

/** What differs from the standard version: "300 queries"; nothing for the standard one. */
function autoAttackChanges(attack: Extract<Attack, { name: "autoattack" }>): string {
  const { stages, queries, iterations } = attack;
  const changes = [
    stages.length === STANDARD_STAGES ? undefined : stages.join(", "),
    queries === STANDARD_QUERIES ? undefined : `${queries} queries`,
    iterations === STANDARD_ITERATIONS ? undefined : `${iterations} iterations`,
  ];
  return changes.filter((change) => change !== undefined).join(", ");
}
