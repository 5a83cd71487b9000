/**
 * The answer line, made of data by pure functions: text, and the two or three values that matter
 * in bold.
 */

import { Fragment } from "react";

export type AnswerPart = string | { strong: string };

export function strong(text: string): AnswerPart {
  return { strong: text };
}

export function Answer({ parts }: { parts: readonly AnswerPart[] }) {
  return parts.map((part, index) => (
    <Fragment key={index}>
      {typeof part === "string" ? part : <strong>{part.strong}</strong>}
    </Fragment>
  ));
}

/** The answer as plain text, for tests and titles. */
export function plainAnswer(parts: readonly AnswerPart[]): string {
  const text = parts.map((part) => (typeof part === "string" ? part : part.strong)).join("");
  return text.replaceAll("\u00a0", " ");
}
