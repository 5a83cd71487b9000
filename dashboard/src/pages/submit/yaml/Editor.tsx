/**
 * The text, to be edited: a text area whose own letters are transparent, over the same text with
 * its colors and marks. Both have one font and one size; the frame around them scrolls.
 */

import { useId, type RefObject } from "react";

import { piecesOf } from "./line_marks";
import styles from "./yaml.module.css";

export type LineMark = "changed" | "wrong";

interface EditorProps {
  text: string;
  onChange: (text: string) => void;
  /** By line, from 1. */
  marks: ReadonlyMap<number, LineMark>;
  /** What is wrong, for a screen reader. */
  problem: string | undefined;
  area: RefObject<HTMLTextAreaElement | null>;
}

export function Editor({ text, onChange, marks, problem, area }: EditorProps) {
  const id = useId();
  return (
    <div className={styles.code}>
      <div className={styles.layers}>
        <pre aria-hidden="true" className={styles.lines}>
          {text.split("\n").map((line, index) => (
            <Line key={index} line={line} mark={marks.get(index + 1)} />
          ))}
        </pre>
        <textarea
          ref={area}
          className={styles.area}
          value={text}
          onChange={({ target }) => onChange(target.value)}
          aria-label="The job as YAML"
          aria-describedby={problem === undefined ? undefined : id}
          aria-invalid={problem === undefined ? undefined : true}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          wrap="off"
        />
      </div>
      {problem !== undefined && (
        <span id={id} className="vh">
          {problem}
        </span>
      )}
    </div>
  );
}

function Line({ line, mark }: { line: string; mark: LineMark | undefined }) {
  return (
    <span className={`${styles.line ?? ""} ${(mark && styles[mark]) ?? ""}`}>
      {piecesOf(line).map(({ kind, text }, index) => (
        <span key={index} className={styles[kind]}>
          {text}
        </span>
      ))}
      {"\n"}
    </span>
  );
}

/** Text to be copied, not edited. */
export function CodeBlock({ text, label }: { text: string; label: string }) {
  return (
    // A region that scrolls is a stop for the keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.code} role="region" aria-label={label} tabIndex={0}>
      <pre className={styles.plain}>{text}</pre>
    </div>
  );
}
