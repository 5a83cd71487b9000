/**
 * The answer line, made of data by pure functions: text, and the two or three values that matter
 * in bold.
 */

import { Fragment } from "react";

import { shortened, withoutOverrides } from "@/format/names";

const MOST_LETTERS = 60;

export type AnswerPart = string | { strong: string };

export function strong(text: string): AnswerPart {
  return { strong: text };
}

export function Answer({ parts }: { parts: readonly AnswerPart[] }) {
  return parts.map((part, index) => (
    <Fragment key={index}>
      {typeof part === "string" ? withoutOverrides(part) : <Strong text={part.strong} />}
    </Fragment>
  ));
}

/** A long name is cut: the answer stays one or two lines. */
function Strong({ text }: { text: string }) {
  const short = shortened(withoutOverrides(text), MOST_LETTERS);
  return <strong title={short === text ? undefined : text}>{short}</strong>;
}

/** The answer as plain text, for tests and titles. */
export function plainAnswer(parts: readonly AnswerPart[]): string {
  const text = parts.map((part) => (typeof part === "string" ? part : part.strong)).join("");
  return text.replaceAll("\u00a0", " ");
}
