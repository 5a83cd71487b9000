/** The page's sentences. Pure. */

import type { JobSummary } from "@/api/queries";
import { strong, type AnswerPart } from "@/components/page/answer";
import { parseMeasure } from "@/format/measures";
import { formatNumber, formatSignificant, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import { progressText } from "../sweeps/sentences";
import type { SweepDetail, Table } from "./data";

type Cell = Table["lines"][number]["cells"][string];
type Description = Table["descriptions"][string];

/** "56.94 ± 2.31", in the measure's unit. */
export function cellText(cell: Cell, measure: Description): string {
  const mean = valueText(cell.mean, measure);
  return cell.sd === null ? mean : `${mean} ± ${valueText(cell.sd, measure)}`;
}

export function valueText(value: number, { accuracy, scale, name }: Description): string {
  if (!accuracy) return formatSignificant(scale * value);
  return formatNumber(scale * value, name.startsWith("held_out") ? 1 : 2);
}

/** How far it is, and which line held-out images choose. */
export function answer(sweep: SweepDetail, table: Table | undefined): AnswerPart[] {
  const parts: AnswerPart[] = [`${progressText(sweep)}.`];
  for (const line of table?.lines.filter(({ best }) => best) ?? []) {
    const key = heldOutKey(table, line.cells);
    if (table === undefined || key === undefined) continue;
    const cell = line.cells[key];
    const description = table.descriptions[key];
    if (cell === undefined || description === undefined) continue;
    const threat = parseMeasure(key).threatModel;
    const at = threat === undefined ? "" : ` at ${threatModelTitle(threat)}`;
    parts.push(
      ` Held-out images choose `,
      strong(line.name),
      `${at}: `,
      strong(`${cellText(cell, description)} %`),
      ` held-out robust accuracy over ${plural(cell.n, "seed")}.`,
    );
  }
  if (table !== undefined && singleSeed(table)) {
    parts.push(" With one seed a line, differences may be chance.");
  }
  return parts;
}

function heldOutKey(table: Table | undefined, cells: Record<string, Cell>): string | undefined {
  return table?.measures.find(
    (key) => key in cells && table.descriptions[key]?.name === "held_out_pgd",
  );
}

function singleSeed({ lines }: Table): boolean {
  return lines.length > 1 && lines.every(({ jobs }) => jobs === 1);
}

/** The group of what is no accuracy. */
export const OTHER = "Other";

/** The head above a measure's column: unlike threat models stand apart. */
export function groupOf(key: string): string {
  const measure = parseMeasure(key);
  const where = measure.name.startsWith("held_out") ? "Held-out images" : "Test images";
  if (measure.threatModel !== undefined) {
    return `${where}, ${threatModelTitle(measure.threatModel)}`;
  }
  return measure.name === "clean" || measure.name === "held_out_clean" ? where : OTHER;
}

/** "PGD-10": the group's head says that the images were held out. */
export function columnTitle(key: string, label: string): string {
  const short = label.replace(/^Held-out /, "");
  return key.startsWith("held_out") ? short.charAt(0).toUpperCase() + short.slice(1) : label;
}

/** Why a job has no result. */
export function missingReason(job: JobSummary): string {
  if (job.status === "failed") return job.failure?.message ?? "It failed.";
  if (job.status === "cancelled") return "It was cancelled.";
  if (job.status === "queued") return job.pending_reason ?? "It waits for a worker.";
  if (job.status === "paused") return job.pending_reason ?? "It is paused.";
  return "It is running.";
}
