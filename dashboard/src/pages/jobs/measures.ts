/**
 * Which accuracies stand in columns. Unlike threat models and data never share one, so a table
 * shows those of one scope: a data set and a threat model.
 */

import type { JobPage, JobSummary } from "@/api/queries";
import { isTestRobustness, parseMeasure, type Measure } from "@/format/measures";
import {
  parseThreatModel,
  threatModelKey,
  threatModelTitle,
  type ThreatModel,
} from "@/format/threat_model";

export interface Scope {
  /** "linf:0.15 ds_digits": in the address. */
  key: string;
  datasetId: string;
  /** Its name, as a job has it. */
  dataset: string;
  threatModel: ThreatModel;
}

/** Results and intervals are those that REST sorts by: of the best student, or the model. */
const NETWORKS = ["best", "model"] as const;
const MOST_MEASURES = 3;

export interface Accuracy {
  value: number;
  low: number | undefined;
  high: number | undefined;
  images: number | undefined;
}

export function resultsOf(job: JobSummary): Record<string, number> {
  for (const network of NETWORKS) {
    const results = job.results?.[network];
    if (results !== undefined) return results;
  }
  return {};
}

/** A job's result in this scope; undefined where it was not measured in it. */
export function accuracyOf(job: JobSummary, key: string, scope: Scope): Accuracy | undefined {
  if (job.dataset_id !== scope.datasetId || !isTested(job, scope)) return undefined;
  for (const network of NETWORKS) {
    const value = job.results?.[network]?.[key];
    if (value === undefined) continue;
    const interval = job.intervals[network]?.[key];
    return { value, low: interval?.low, high: interval?.high, images: interval?.images };
  }
  return undefined;
}

/** Clean accuracy stands beside a robust one only: of one test, under one threat model. */
function isTested(job: JobSummary, scope: Scope): boolean {
  const threat = threatModelKey(scope.threatModel);
  return Object.keys(resultsOf(job)).some((key) => {
    const { threatModel } = parseMeasure(key);
    return threatModel !== undefined && threatModelKey(threatModel) === threat;
  });
}

/** The scopes of jobs, that of most jobs first. */
export function scopesOf(jobs: readonly JobSummary[]): Scope[] {
  const counts = new Map<string, { scope: Scope; jobs: number }>();
  for (const job of jobs) {
    if (job.dataset_id === null) continue;
    const threats = Object.keys(resultsOf(job)).map(parseMeasure).filter(isTestRobustness);
    const models = new Map(
      threats.flatMap(({ threatModel: threat }) =>
        threat === undefined ? [] : [[threatModelKey(threat), threat]],
      ),
    );
    for (const [threat, threatModel] of models) {
      const key = `${threat} ${job.dataset_id}`;
      const scope = { key, datasetId: job.dataset_id, dataset: job.dataset ?? "", threatModel };
      const entry = counts.get(key) ?? { scope, jobs: 0 };
      counts.set(key, { ...entry, jobs: entry.jobs + 1 });
    }
  }
  return [...counts.values()].sort((a, b) => b.jobs - a.jobs).map(({ scope }) => scope);
}

/** The scope of the address, else that of the result that is sorted by, else that of most jobs. */
export function chosenScope(
  scopes: readonly Scope[],
  wish: string | undefined,
  sort: string,
): Scope | undefined {
  const [, threat] = /@([^#]+)/.exec(sort) ?? [];
  const model = threat === undefined ? undefined : parseThreatModel(threat);
  const sorted = model === undefined ? undefined : threatModelKey(model);
  return (
    scopes.find(({ key }) => key === wish) ??
    scopes.find(({ threatModel }) => threatModelKey(threatModel) === sorted) ??
    scopes[0]
  );
}

/** "L∞ 0.15 on digits". */
export function scopeTitle({ threatModel, dataset }: Scope): string {
  return `${threatModelTitle(threatModel)} on ${dataset}`;
}

/** All measures of a scope: clean accuracy, the attacks, the deciding one last. */
export function measuresOf(
  jobs: readonly JobSummary[],
  scope: Scope,
  deciding: Measure | undefined,
): Measure[] {
  const threat = threatModelKey(scope.threatModel);
  const measures = new Map<string, Measure>();
  for (const job of jobs) {
    if (job.dataset_id !== scope.datasetId) continue;
    for (const key of Object.keys(resultsOf(job))) {
      const measure = parseMeasure(key);
      const { threatModel } = measure;
      const isOfScope = threatModel !== undefined && threatModelKey(threatModel) === threat;
      if (measure.name === "clean" || (isTestRobustness(measure) && isOfScope)) {
        measures.set(key, measure);
      }
    }
  }
  const order = (measure: Measure) =>
    measure.name === "clean" ? 0 : measure.key === deciding?.key ? 2 : 1;
  return [...measures.values()].sort(
    (a, b) => order(a) - order(b) || a.key.localeCompare(b.key, "en", { numeric: true }),
  );
}

/** What REST says decides among the jobs of a page, of the first page that has the scope. */
export function decidingMeasure(
  pages: readonly (Pick<JobPage, "sections"> | undefined)[],
  scope: Scope,
): Measure | undefined {
  const threat = threatModelKey(scope.threatModel);
  const sections = pages.flatMap((page) => page?.sections ?? []);
  const section = sections.find(
    ({ dataset_id: dataset, threat_model: model }) =>
      dataset === scope.datasetId && threatModelKey(model) === threat,
  );
  return section && parseMeasure(section.deciding);
}

/** Clean, one attack and the deciding one: what is shown unless columns were chosen. */
export function usualMeasures(measures: readonly Measure[]): Measure[] {
  if (measures.length <= MOST_MEASURES) return [...measures];
  const clean = measures.find(({ name }) => name === "clean");
  const deciding = measures.at(-1);
  const attacks = measures.filter((one) => one !== clean && one !== deciding);
  const attack = attacks.find(({ name }) => name === "pgd") ?? attacks[0];
  return [clean, attack, deciding].filter((one) => one !== undefined);
}
