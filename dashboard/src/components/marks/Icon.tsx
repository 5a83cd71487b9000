/** Shapes of 16 px in the text's color. They carry no words: those stand beside them. */

import type { ReactNode } from "react";

import styles from "./marks.module.css";

const STROKE = { fill: "none", stroke: "currentColor", strokeWidth: 1.5 } as const;
const ROUND = { ...STROKE, strokeLinecap: "round", strokeLinejoin: "round" } as const;

const SHAPES = {
  queued: <circle cx="8" cy="8" r="5.75" {...STROKE} strokeDasharray="2.2 2.3" />,
  running: (
    <>
      <circle cx="8" cy="8" r="5.75" {...STROKE} opacity=".3" />
      <path
        className={styles.turn}
        d="M8 2.25A5.75 5.75 0 0 1 13.75 8"
        {...ROUND}
        strokeWidth={2}
      />
    </>
  ),
  paused: <path d="M5.5 3.5v9M10.5 3.5v9" {...ROUND} strokeWidth={2.2} />,
  cancelled: (
    <>
      <circle cx="8" cy="8" r="5.75" {...STROKE} />
      <path d="M4.2 11.8l7.6-7.6" {...STROKE} />
    </>
  ),
  succeeded: <path d="M3 8.6l3.2 3.2L13 4.6" {...ROUND} strokeWidth={2} />,
  failed: (
    <>
      <path d="M8 1.6 14.4 8 8 14.4 1.6 8Z" fill="currentColor" />
      <path className={styles.cut} d="M8 5v3.6M8 10.6v.4" strokeWidth={1.7} strokeLinecap="round" />
    </>
  ),
  idle: <circle cx="8" cy="8" r="5.75" {...STROKE} />,
  info: (
    <>
      <circle cx="8" cy="8" r="6.25" {...STROKE} />
      <path d="M8 7.4v3.8M8 4.8v.3" {...ROUND} strokeWidth={1.6} />
    </>
  ),
  warning: (
    <>
      <path d="M8 2 14.6 13.5H1.4Z" {...ROUND} />
      <path d="M8 6.4v3.2M8 11.4v.2" {...ROUND} />
    </>
  ),
  plus: <path d="M8 3v10M3 8h10" {...ROUND} strokeWidth={1.6} />,
  close: <path d="M4 4l8 8M12 4l-8 8" {...ROUND} />,
  more: <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" {...ROUND} strokeWidth={2.4} />,
  chevron: <path d="M4.5 6.5 8 10l3.5-3.5" {...ROUND} />,
  download: <path d="M8 2.5v8M4.8 7.5 8 10.7l3.2-3.2M3 13.5h10" {...ROUND} />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof SHAPES;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className={styles.icon} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {SHAPES[name]}
    </svg>
  );
}

/** The flask beside the product's name. */
export function Brand() {
  return (
    <svg className={styles.brand} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path
        d="M7.5 2h5M8.5 2v5L3.6 15.4A1.8 1.8 0 0 0 5.2 18h9.6a1.8 1.8 0 0 0 1.6-2.6L11.5 7V2"
        {...ROUND}
        strokeWidth={1.6}
      />
      <path d="M6.2 13.2h7.6l1.7 3.1H4.6Z" fill="currentColor" />
    </svg>
  );
}
