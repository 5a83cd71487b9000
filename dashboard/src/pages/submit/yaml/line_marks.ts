/** Which lines of a text differ from those that it was started from. */

/** Beyond, lines are compared in place: the exact way costs a product of both lengths. */
const MOST_LINES = 1500;

/**
 * For each line of `text`, whether it is not one of `start`, in order. Indentation does not count:
 * a job that becomes the base of a sweep is the same job.
 */
export function changedLines(start: string, text: string): boolean[] {
  const before = linesOf(start).map((line) => line.trim());
  const after = linesOf(text).map((line) => line.trim());
  if (before.length > MOST_LINES || after.length > MOST_LINES) {
    return after.map((line, index) => line !== before[index]);
  }
  const lengths = commonLengths(before, after);
  const isChanged = after.map(() => true);
  let i = 0;
  let j = 0;
  while (i < before.length && j < after.length) {
    if (before[i] === after[j]) {
      isChanged[j] = false;
      i += 1;
      j += 1;
    } else if ((lengths[i + 1]?.[j] ?? 0) >= (lengths[i]?.[j + 1] ?? 0)) i += 1;
    else j += 1;
  }
  return isChanged;
}

export function linesOf(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

/** By position in both: how many lines the rests have in common, in order. */
function commonLengths(before: readonly string[], after: readonly string[]): Uint16Array[] {
  const lengths = Array.from(
    { length: before.length + 1 },
    () => new Uint16Array(after.length + 1),
  );
  for (let i = before.length - 1; i >= 0; i -= 1) {
    const row = lengths[i];
    const below = lengths[i + 1];
    if (row === undefined || below === undefined) continue;
    for (let j = after.length - 1; j >= 0; j -= 1) {
      row[j] =
        before[i] === after[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return lengths;
}

export type PieceKind = "key" | "mark" | "value" | "comment";

export interface Piece {
  kind: PieceKind;
  text: string;
}

const LINE = /^(\s*(?:- )*)([\w.@-]+|"[^"]*")(:)(?=\s|$)(.*)$/;
const COMMENT = /(^|\s)#.*$/;

/** A line of YAML in pieces: key, colon, value, comment. Together they are the line. */
export function piecesOf(line: string): Piece[] {
  const comment = COMMENT.exec(line)?.[0] ?? "";
  const rest = line.slice(0, line.length - comment.length);
  const match = LINE.exec(rest);
  const pieces: Piece[] =
    match === null
      ? [{ kind: "value", text: rest }]
      : [
          { kind: "key", text: `${match[1] ?? ""}${match[2] ?? ""}` },
          { kind: "mark", text: match[3] ?? "" },
          { kind: "value", text: match[4] ?? "" },
        ];
  return [...pieces, { kind: "comment" as const, text: comment }].filter(({ text }) => text !== "");
}
