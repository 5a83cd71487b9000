/** Groups the last finished jobs: unlike threat models, data or attacks never share a column. */

import type { Job, JobSummary } from "@/api/queries";
import { decidingResult, type Measure } from "@/format/measures";
import { wilsonInterval, type Interval } from "@/format/statistics";

export interface FinishedRow {
  job: JobSummary;
  clean: number | undefined;
  /** The deciding robust accuracy, in [0, 1]. */
  robust: number;
  /** Wilson's 95 % interval; undefined while the number of images is not known. */
  interval: Interval | undefined;
}

export interface FinishedGroup {
  key: string;
  dataset: string;
  measure: Measure;
  /** The same for all rows, or undefined. */
  images: number | undefined;
  rows: FinishedRow[];
}

/** Networks of `results`, the one that is published first. */
const NETWORKS = ["best", "model", "last"];

export function groupFinished(
  jobs: readonly JobSummary[],
  specs: ReadonlyMap<string, Job>,
  testImages: ReadonlyMap<string, number>,
): FinishedGroup[] {
  const groups = new Map<string, FinishedGroup>();
  for (const job of jobs) {
    const results = publishedResults(job);
    const deciding = decidingResult(results, job.deciding);
    if (deciding === undefined) continue;
    const images = imagesOf(job, specs.get(job.id), testImages);
    const dataset = job.dataset ?? "";
    const key = [dataset, deciding.measure.key, images].join(" ");
    const group = groups.get(key) ?? { key, dataset, measure: deciding.measure, images, rows: [] };
    groups.set(key, group);
    group.rows.push({
      job,
      clean: results.clean,
      robust: deciding.value,
      interval: images === undefined ? undefined : wilsonInterval(deciding.value, images),
    });
  }
  return [...groups.values()];
}

function publishedResults(job: JobSummary): Record<string, number> {
  const network = NETWORKS.find((name) => job.results?.[name] !== undefined);
  return (network === undefined ? undefined : job.results?.[network]) ?? {};
}

/** On how many test images a job was evaluated. */
function imagesOf(
  job: JobSummary,
  detail: Job | undefined,
  testImages: ReadonlyMap<string, number>,
): number | undefined {
  const all = testImages.get(job.dataset_id ?? "");
  if (detail === undefined || all === undefined || !("evaluation" in detail.spec)) return undefined;
  return Math.min(all, detail.spec.evaluation.limit ?? all);
}
