/** The teacher of the digits examples, which they cannot name: it is trained by the first of them. */

import type { Model } from "@/api/queries";

import { fits } from "../fields/hints";
import { changeText, parseText } from "../yaml/document";

const PLACEHOLDER = "TEACHER";
const DIGITS = { classes: 10, channels: 1, height: 8, width: 8 };

export function needsTeacher(text: string): boolean {
  return parseText(text).body?.teacher === PLACEHOLDER;
}

type Candidate = Pick<Model, "name" | "status" | "parameters" | "description">;

/** The text with the largest network for digits that the project has, where it has one. */
export function withTeacher(text: string, models: readonly Candidate[]): string {
  const [best] = models
    .filter((model) => model.status === "ready" && fits(model, DIGITS))
    .sort((a, b) => (b.parameters ?? 0) - (a.parameters ?? 0));
  return best === undefined ? text : changeText(text, ["teacher"], best.name);
}
