/** Sentences of the page: what it is started from, what differs, what has to be corrected. */

import type { FieldProblem } from "@/api/problem";
import { strong, type AnswerPart } from "@/components/page/answer";
import { enumerate } from "@/format/numbers";

import { fieldLabel } from "./fields/names";
import type { Path } from "./spec/values";
import type { Start } from "./start/start";
import type { SyntaxProblem } from "./yaml/document";

/** Before the name of the start, which may be a link. */
export function startPhrase({ kind }: Pick<Start, "kind">): string {
  if (kind === "clone") return "A clone of ";
  return kind === "evaluation" ? "An evaluation of " : "From the example ";
}

interface Work {
  changedLines: number;
  problems: readonly FieldProblem[];
  syntax: SyntaxProblem | undefined;
}

/** After the name of the start. */
export function answerParts(start: Start, { changedLines, problems, syntax }: Work): AnswerPart[] {
  const parts: AnswerPart[] = [". "];
  if (changedLines > 0) parts.push("Marked lines differ from it. ");
  else if (start.kind === "clone") parts.push("It is the same job so far. ");
  else if (start.description !== undefined) parts.push(`${start.description} `);
  if (syntax !== undefined) parts.push(strong(`Line ${syntax.line} of the YAML cannot be read.`));
  else if (problems.length > 0) {
    const fields = uniqueFields(problems).length;
    const noun = fields === 1 ? "One field needs" : `${fields} fields need`;
    parts.push(strong(`${noun} a correction.`));
  }
  return parts;
}

export interface WrongField {
  path: Path;
  label: string;
}

/** Fields with a problem, each once. */
export function uniqueFields(problems: readonly FieldProblem[]): WrongField[] {
  const fields = new Map<string, WrongField>();
  for (const { path } of problems) {
    const key = path.join(".");
    if (!fields.has(key)) fields.set(key, { path, label: wrongLabel(path) });
  }
  return [...fields.values()];
}

/** "Steps"; of an item of a list the list's name; of a problem of the whole "the job". */
function wrongLabel(path: Path): string {
  const words = path.filter((key) => typeof key === "string" && key !== "base").map(String);
  if (words.length === 0) return "the job";
  if (words[0] === "axes") return words[1] ?? "the sweep";
  const label = fieldLabel(words);
  // What is deep inside could be of several parts: the steps of an attack, the weight of a term.
  if (words.length < 3) return label;
  return `${fieldLabel(words.slice(0, -1))}: ${label.toLowerCase()}`;
}

/** After the names of the wrong fields: "Correct Steps first. …". */
export function estimateNote(hasEstimate: boolean): string {
  return hasEstimate ? " first. The estimate is of the last valid form." : " first.";
}

export function namedFields(labels: readonly string[]): string {
  return enumerate(labels);
}
