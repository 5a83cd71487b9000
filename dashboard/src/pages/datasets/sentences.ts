/** Sentences on data sets. Pure. */

import type { Dataset } from "@/api/queries";
import { strong, type AnswerPart } from "@/components/page/answer";
import { formatNumber, MINUS, plural } from "@/format/numbers";
import { wilsonInterval } from "@/format/statistics";

type Description = NonNullable<Dataset["description"]>;

const SOURCES: Record<string, string> = {
  builtin: "this program",
  upload: "an upload",
  folder: "the data folder",
  download: "a download",
};
/** Fewer test images leave differences between good methods in the dark. */
const FEW_TEST_IMAGES = 1000;

export function sourceTitle(source: string): string {
  return SOURCES[source] ?? source;
}

/** "8 × 8, gray". */
export function imageSize({ height, width, channels }: Description): string {
  const color = channels === 1 ? "gray" : channels === 3 ? "color" : `${channels} channels`;
  return `${height} × ${width}, ${color}`;
}

/** How many are ready, and which wait or were refused. */
export function answer(datasets: readonly Dataset[]): AnswerPart[] {
  if (datasets.length === 0) return [];
  const count = (status: Dataset["status"]) =>
    datasets.filter((dataset) => dataset.status === status).length;
  const ready = count("ready");
  const parts: AnswerPart[] = [
    strong(plural(ready, "data set")),
    ` ${ready === 1 ? "is" : "are"} ready to train and test on.`,
  ];
  if (count("importing") > 0) parts.push(` ${formatNumber(count("importing"))} being imported.`);
  if (count("refused") > 0) parts.push(" ", strong(`${formatNumber(count("refused"))} refused.`));
  return parts;
}

/** What one data set has, and how exact an accuracy on its test images is. */
export function datasetAnswer(dataset: Dataset): AnswerPart[] {
  const { description, status, problem } = dataset;
  if (status === "refused") {
    const detail = problem?.detail;
    return ["The import was refused. ", typeof detail === "string" ? detail : ""];
  }
  if (status === "awaiting_upload") return ["Its archive has not been uploaded yet."];
  if (description === null) return ["A worker imports it."];
  const { classes, train_images: train, test_images: test } = description;
  const parts: AnswerPart[] = [
    `${plural(classes, "class", "classes")}: `,
    strong(plural(train, "image")),
    " to train on and ",
    strong(plural(test, "image")),
    " to test on, of ",
    `${imageSize(description)}.`,
  ];
  return test === 0
    ? [...parts, " Without test images it can only be extra training data."]
    : [...parts, ` ${exactness(test)}`];
}

function exactness(images: number): string {
  const [low, high] = wilsonInterval(0.5, images);
  const half = formatNumber(50 * (high - low), 1);
  const few =
    images < FEW_TEST_IMAGES ? "; small differences between networks cannot be seen on them" : "";
  return `An accuracy near 50 % is known to ±${half} points (95 %)${few}.`.replace("-", MINUS);
}

/** Classes with the fewest and the most training images. */
export function balance(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts);
  if (entries.length === 0) return "";
  const sorted = [...entries].sort(([, a], [, b]) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) return "";
  if (least[1] === most[1]) return `Each class has ${plural(most[1], "training image")}.`;
  return (
    `From ${formatNumber(least[1])} (${least[0]}) to ${formatNumber(most[1])} (${most[0]}) ` +
    "training images per class."
  );
}
