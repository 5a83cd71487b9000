/** The evaluation of models that exist: one job, or a sweep over several. */

import type { Model } from "@/api/queries";
import { parseMeasure } from "@/format/measures";
import { formatRadius, parseRadius } from "@/format/threat_model";

import type { Json, JsonObject } from "../spec/values";

interface Options {
  /** Id or name of a data set; by default the service says that one is needed. */
  dataset: string | undefined;
  /** In L∞: "8/255". By default that of the first model's results. */
  radius: string | undefined;
}

export function evaluationBody(
  models: readonly Pick<Model, "name" | "results">[],
  { dataset, radius }: Options,
): JsonObject {
  const at = radius ?? measuredRadius(models[0]?.results ?? {});
  const job: JsonObject = {
    kind: "evaluation",
    ...(dataset === undefined ? {} : { data: { dataset } }),
    ...(at === undefined ? {} : { radius: asNumber(at) }),
    evaluation: { attacks: [{ name: "pgd" }, { name: "cw" }, { name: "autoattack" }] },
  };
  const [first, ...rest] = models.map(({ name }) => name);
  if (first === undefined) return job;
  if (rest.length === 0) {
    const { kind, ...settings } = job;
    return { kind: kind ?? null, name: `${first} evaluated`, model: first, ...settings };
  }
  return { name: "Evaluation", base: job, axes: { model: [first, ...rest] } };
}

/** The L∞ radius under which a model was measured, as REST writes it. */
function measuredRadius(results: Model["results"]): string | undefined {
  for (const key of Object.keys(results)) {
    const { threatModel } = parseMeasure(key);
    if (threatModel?.norm === "linf") return formatRadius(threatModel.radius);
  }
  return undefined;
}

/** "8/255" stays a fraction; "0.15" is a number. */
function asNumber(radius: string): Json {
  return radius.includes("/") ? radius : (parseRadius(radius) ?? radius);
}
