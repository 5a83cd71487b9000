/** A hairline, a heading with its note on one baseline, and content. No box. */

import { useId, type ReactNode } from "react";

import styles from "./page.module.css";

type Span = 3 | 4 | 5 | 6 | 7 | 8 | 9 | 12;

interface SectionProps {
  title: string;
  /** What holds for everything below: unit, kind of interval, number of images. */
  note?: ReactNode;
  /** At the right: a link to all of it, or controls. */
  more?: ReactNode;
  /** Columns of twelve that it takes inside `Columns`. */
  span?: Span;
  children: ReactNode;
}

export function Section({ title, note, more, span, children }: SectionProps) {
  const id = useId();
  const width = span === undefined ? "" : (styles[`span${span}`] ?? "");
  return (
    <section className={`${styles.section ?? ""} ${width}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note !== undefined && <span className={styles.note}>{note}</span>}
        {more !== undefined && <div className={styles.more}>{more}</div>}
      </header>
      {children}
    </section>
  );
}

/** Sections beside each other; below 1024 px under each other. */
export function Columns({ children }: { children: ReactNode }) {
  return <div className={styles.columns}>{children}</div>;
}

/** A part of `Columns` without a heading of its own. */
export function Column({ span, children }: { span: Span; children: ReactNode }) {
  return <div className={styles[`span${span}`]}>{children}</div>;
}

/** Two ends of a line. */
export function Between({ children, faint = false }: { children: ReactNode; faint?: boolean }) {
  return <div className={`${styles.between ?? ""} ${faint ? "small dim" : ""}`}>{children}</div>;
}

/** A smaller text that explains. */
export function Note({ children }: { children: ReactNode }) {
  return <p className={styles.note}>{children}</p>;
}

/** Rows between hairlines; `ordered` where their order means something. */
export function List({ children, ordered = false }: { children: ReactNode; ordered?: boolean }) {
  const Tag = ordered ? "ol" : "ul";
  return <Tag className={styles.list}>{children}</Tag>;
}
