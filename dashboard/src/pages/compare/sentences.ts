/** Is the difference real, and which setting made it? Sentences made of the page's own data. */

import { strong, type AnswerPart } from "@/components/page/answer";
import {
  enumerate,
  formatInterval,
  formatNumber,
  formatPercent,
  formatSigned,
  formatSignificant,
  plural,
} from "@/format/numbers";

import type { Difference, Row, Run, Section } from "./runs";

const MOST_NAMES = 4;

export type Labels = ReadonlyMap<string, string>;

export function labelMap(runs: readonly Run[]): Map<string, string> {
  return new Map(runs.map(({ id, label }) => [id, label]));
}

export function answer(section: Section | undefined, base: string, labels: Labels): AnswerPart[] {
  if (section === undefined) return ["None of these jobs has been tested yet."];
  return [
    ...bestSentence(section, base, labels),
    ...verdictSentences(section, base, labels),
    ...cleanSentence(section.rows),
  ];
}

/** The row with the highest deciding accuracy. */
export function bestRow({ rows, deciding }: Section): Row | undefined {
  const value = (row: Row) => row.results[deciding]?.value ?? -1;
  return rows.reduce<Row | undefined>(
    (best, row) => (value(row) > (best === undefined ? -1 : value(best)) ? row : best),
    undefined,
  );
}

function bestSentence(section: Section, base: string, labels: Labels): AnswerPart[] {
  const best = bestRow(section);
  const result = best?.results[section.deciding];
  if (best === undefined || result === undefined) return [];
  const measure = measureLabel(section, section.deciding);
  const { value, low, high } = result;
  const interval = low == null || high == null ? "" : ` (${formatInterval([low, high])})`;
  const verb = section.threat_model === null ? "has" : "holds";
  const under = section.threat_model === null ? "clean accuracy" : `under ${measure}`;
  const name = labels.get(best.job_id) ?? best.job_id;
  const count = section.rows.length;
  const most = count > 1 ? `, the most of ${formatNumber(count)}` : "";
  const versus = comparisonClause(best, section, labels.get(base) ?? base);
  return [strong(name), ` ${verb} ${formatPercent(value)}${interval} ${under}${most}${versus}. `];
}

/** ", and more than RSLAD on the same images". */
function comparisonClause(best: Row, section: Section, base: string): string {
  const difference = best.differences[section.deciding];
  if (difference === undefined) return "";
  const images = difference.paired ? " on the same images" : "";
  switch (difference.verdict) {
    case "higher":
      return `, more than ${base}${images}`;
    case "not distinguishable":
      return `, but not distinguishable from ${base}`;
    default:
      return "";
  }
}

function verdictSentences(section: Section, base: string, labels: Labels): AnswerPart[] {
  const best = bestRow(section)?.job_id;
  const names = (verdict: string) =>
    section.rows
      .filter((row) => row.job_id !== best)
      .filter((row) => row.differences[section.deciding]?.verdict === verdict)
      .map((row) => labels.get(row.job_id) ?? row.job_id);
  const baseName = labels.get(base) ?? base;
  const unclear = names("not distinguishable");
  const lower = names("lower");
  const higher = names("higher");
  const parts: AnswerPart[] = [];
  if (higher.length > 0) parts.push(`${who(higher)} higher than ${baseName}, too. `);
  if (unclear.length > 0) {
    const images = imagesOf(section);
    const withImages = images === undefined ? "" : ` with ${plural(images, "image")}`;
    parts.push(
      `${who(unclear)} `,
      strong("not distinguishable"),
      ` from ${baseName}${withImages}. `,
    );
  }
  if (lower.length > 0) parts.push(`${who(lower)} lower than ${baseName}. `);
  return parts;
}

/** "ARKD and ARD are", "7 runs are". */
function who(names: readonly string[]): string {
  const subject = names.length > MOST_NAMES ? plural(names.length, "run") : enumerate(names);
  return `${subject} ${names.length === 1 ? "is" : "are"}`;
}

function cleanSentence(rows: readonly Row[]): AnswerPart[] {
  const values = rows.flatMap(({ results }) => results.clean?.value ?? []);
  if (values.length < 2) return [];
  const range = 100 * (Math.max(...values) - Math.min(...values));
  if (range < 0.005) return ["Clean accuracy is equal."];
  return [`Clean accuracy lies within ${formatNumber(range, 1)} points.`];
}

/** Number of test images, where it is one for all rows. */
export function imagesOf({ rows, deciding }: Section): number | undefined {
  const numbers = new Set(rows.flatMap(({ results }) => results[deciding]?.images ?? []));
  const [only] = numbers;
  return numbers.size === 1 ? only : undefined;
}

export function measureLabel(section: Section, key: string): string {
  return section.descriptions[key]?.label ?? key;
}

/** "p < 0.001", "p = 0.75". */
export function formatP(p: number): string {
  if (p < 0.001) return "p < 0.001";
  return `p = ${p >= 0.095 ? formatNumber(p, 2) : formatSignificant(p, 2)}`;
}

/** Points: "+6.94". */
export function differenceText({ value }: Difference): string {
  return formatSigned(100 * value);
}

/** "+3.2 to +10.7". */
export function differenceInterval({ low, high }: Difference): string {
  if (low === null || high === null) return "";
  return `${formatSigned(100 * low, 1)} to ${formatSigned(100 * high, 1)}`;
}

/** "higher than RSLAD": the word, and what follows it. */
export function verdictWords(difference: Difference, base: string): [string, string] {
  const { verdict } = difference;
  if (verdict === "not distinguishable") return [verdict, ` from ${base}`];
  if (verdict === "higher" || verdict === "lower") return [verdict, ` than ${base}`];
  return [verdict, ""];
}

/** "p < 0.001; 28 images only STARSHIP holds, 3 only RSLAD". */
export function verdictDetail(difference: Difference, name: string, base: string): string {
  const { adjusted_p: p, only_this: mine, only_other: others, note, paired } = difference;
  const parts: string[] = [];
  if (p !== null) parts.push(formatP(p));
  if (paired && mine !== null && others !== null) {
    const images = `${formatNumber(mine)} ${mine === 1 ? "image" : "images"}`;
    parts.push(`${images} only ${name} holds, ${formatNumber(others)} only ${base}`);
  }
  if (note !== null) parts.push(note);
  return parts.join("; ");
}

/** What holds for the whole table. */
export function tableNote(section: Section, base: string): string {
  const images = imagesOf(section);
  const same = images === undefined ? "" : ` on the same ${plural(images, "image")}`;
  const measure = measureLabel(section, section.deciding);
  const number = section.comparisons;
  const adjusted = number > 1 ? `, intervals and p for ${formatNumber(number)} comparisons` : "";
  return (
    `test accuracy, % · 95 % Wilson interval below · difference to ${base} in points${same}, ` +
    `${measure === "Clean" ? "clean" : `under ${measure}`}; McNemar${adjusted}`
  );
}

/** "Tested on all 360 test images with PGD-20 and AutoAttack." */
export function testSentence(section: Section): string {
  const attacks = section.measures
    .filter((key) => key !== "clean")
    .map((key) => measureLabel(section, key));
  const images = imagesOf(section);
  const on = images === undefined ? "" : ` on ${plural(images, "test image")}`;
  const data = section.dataset === null ? "" : ` of ${section.dataset}`;
  const attacked = attacks.length === 0 ? "" : ` with ${enumerate(attacks)}`;
  return `Tested${on}${data}${attacked}.`;
}
