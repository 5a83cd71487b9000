/** The page's sentences, made of the leaderboard that it shows. Pure. */

import { strong, type AnswerPart } from "@/components/page/answer";
import { parseMeasure } from "@/format/measures";
import { formatInterval, formatNumber, formatPercent, plural } from "@/format/numbers";
import { formatRadius, threatModelTitle } from "@/format/threat_model";

import type { Row, Section } from "./data";

/** "AutoAttack" for a measure's key. */
export function measureLabel(key: string): string {
  return parseMeasure(key).label;
}

export function parametersOf({ parameters }: Pick<Row, "parameters">): string | undefined {
  return parameters === null ? undefined : plural(parameters, "parameter");
}

/** "1" or "3–7"; nothing for a model that the deciding attack was not run on. */
export function rankText(rank: Row["rank"]): string {
  if (rank === null) return "";
  return rank.low === rank.high ? formatNumber(rank.low) : `${rank.low}–${rank.high}`;
}

/** Which student is the best, how sure that is, and what its teacher holds. */
export function answer(sections: readonly Section[], models: number): AnswerPart[] {
  const section = sections.find(({ threat_model: threat }) => threat !== null);
  if (section === undefined) {
    return models === 0 ? [] : [`${plural(models, "model")}, none of them measured under attack.`];
  }
  const ranked = section.rows.filter((row) => section.deciding in row.results);
  const best = ranked.find((row) => row.teacher_id !== null) ?? ranked[0];
  if (best === undefined) return [];
  const parts = bestSentence(section, best);
  const teacher = ranked.find((row) => row.model_id === best.teacher_id);
  const held = teacher?.results[section.deciding];
  if (teacher !== undefined && held !== undefined) {
    const size = teacher.parameters === null ? "" : ` with ${formatNumber(teacher.parameters)}`;
    parts.push(` The teacher holds ${formatPercent(held.value)}${size}.`);
  }
  return parts;
}

function bestSentence(section: Section, best: Row): AnswerPart[] {
  const { threat_model: threat, deciding } = section;
  const result = best.results[deciding];
  if (threat === null || result === undefined) return [];
  const kind = best.teacher_id === null ? "most robust model" : "best student";
  const size = parametersOf(best);
  const parts: AnswerPart[] = [
    `On ${section.dataset} at ${threatModelTitle(threat)} the ${kind} is `,
    strong(best.name),
    ": ",
    strong(formatPercent(result.value)),
    `${intervalText(result)} under ${measureLabel(deciding)}${size === undefined ? "" : ` with ${size}`}.`,
  ];
  if (best.rank !== null && best.rank.low !== best.rank.high) {
    const all = plural(section.compared, "model");
    parts.push(` Its rank among ${all} is ${rankText(best.rank)}: the test images say no more.`);
  }
  return parts;
}

function intervalText({ low, high }: { low: number | null; high: number | null }): string {
  return low === null || high === null ? "" : ` (${formatInterval([low, high])})`;
}

/** What holds for a section: its threat model in words, unit, images. */
export function sectionNote(section: Section, isFirst: boolean): string {
  const images = imagesText(section);
  const unit = `test accuracy, %${images === "" ? "" : `, ${images}`}, 95 % interval below`;
  const rest = isFirst ? unit : `${unit} · another ranking: not comparable with the table above`;
  return `${threatWords(section.threat_model)} · ${rest}`;
}

function threatWords(threat: Section["threat_model"]): string {
  if (threat === null) return "nothing was attacked";
  const radius = formatRadius(threat.radius);
  const decimal = radius.includes("/") ? ` = ${threat.radius.toFixed(3)}` : "";
  return threat.norm === "linf"
    ? `the attacker may change each pixel by at most ${radius}${decimal}`
    : `the attacker may change the image by at most ${radius}${decimal} in the L2 norm`;
}

function imagesText({ rows }: Section): string {
  const counts = rows.flatMap(({ results }) =>
    Object.values(results).flatMap(({ images }) => (images === null ? [] : [images])),
  );
  if (counts.length === 0) return "";
  const low = Math.min(...counts);
  const high = Math.max(...counts);
  return low === high ? plural(high, "image") : `${formatNumber(low)}–${formatNumber(high)} images`;
}

export const RANK_NOTE =
  "A rank is a range: a paired test (McNemar, p < 0.05, adjusted by Holm) on the same images " +
  "cannot order the models inside it. Differences are in points, paired where the images are the " +
  "same; their intervals hold together.";

/** "17 models were not measured under this threat model." */
export function notMeasuredSentence(count: number): string {
  const verb = count === 1 ? "was" : "were";
  return `${plural(count, "model")} ${verb} not measured under this threat model.`;
}
