/**
 * The head of every page: path, title with status and actions, the answer line, facts. The answer
 * line answers the page's question with numbers, from the same data as the page.
 */

import { useEffect, type ReactNode } from "react";
import { Link } from "react-router";

import styles from "./page.module.css";

export interface Fact {
  label: string;
  value: ReactNode;
}

interface PageHeadProps {
  title: string;
  /** The pages above this one, and then where this one is: `[{ label: "Jobs", to: "/jobs" }]`. */
  path?: readonly { label: string; to: string }[];
  /** This page in its path, an id mostly. */
  here?: ReactNode;
  status?: ReactNode;
  /** Buttons. The only filled one is the page's likely next step. */
  actions?: ReactNode;
  answer?: ReactNode;
  facts?: readonly Fact[];
}

export function PageHead({ title, path, here, status, actions, answer, facts }: PageHeadProps) {
  useEffect(() => {
    document.title = `${title} · Distill`;
  }, [title]);
  return (
    <header className={styles.head}>
      {path !== undefined && (
        <nav className={styles.path} aria-label="Path">
          {path.map(({ label, to }) => (
            <span key={to}>
              <Link to={to}>{label}</Link> /
            </span>
          ))}
          {here}
        </nav>
      )}
      <div className={styles.title}>
        <h1 tabIndex={-1}>{title}</h1>
        {status}
      </div>
      {actions !== undefined && <div className={styles.actions}>{actions}</div>}
      {answer !== undefined && <p className={styles.answer}>{answer}</p>}
      {facts !== undefined && <Facts facts={facts} />}
    </header>
  );
}

/** Label and value pairs in one flowing line. */
export function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl className={styles.facts}>
      {facts.map(({ label, value }) => (
        <div key={label}>
          <dt>{label}</dt> <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
