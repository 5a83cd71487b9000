/** The lines of a log that are shown: the newest, in order, each once. Pure. */

import type { components } from "@/api/generated/schema";

export type LogLine = components["schemas"]["LogLineResponse"];

/** More than a person scrolls through; the whole log is a file. */
export const MOST_LINES = 2000;

/** Adds lines to those that are shown. Lines that are there already are left out. */
export function append(lines: readonly LogLine[], more: readonly LogLine[]): readonly LogLine[] {
  const last = lines.at(-1);
  const news = more.filter((line) => last === undefined || isAfter(line, last));
  if (news.length === 0) return lines;
  return [...lines, ...news].slice(-MOST_LINES);
}

function isAfter(line: LogLine, last: LogLine): boolean {
  return line.attempt === last.attempt ? line.seq > last.seq : line.attempt > last.attempt;
}

export interface TextPart {
  text: string;
  isStrong: boolean;
}

/** Emphasizes an epoch's number and its robust accuracy: what a person looks for. */
export function logParts({ stream, text }: Pick<LogLine, "stream" | "text">): TextPart[] {
  if (stream !== "stdout" || !text.startsWith("epoch ")) return [{ text, isStrong: false }];
  return text
    .split(/((?<=^epoch )\d+|(?<=\brobust )[\d.]+)/)
    .map((part, index) => ({ text: part, isStrong: index % 2 === 1 }))
    .filter((part) => part.text !== "");
}
