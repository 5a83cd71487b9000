/** A curve without axes: where it has come from and where it is. */

import styles from "./marks.module.css";

interface SparkProps {
  /** Pairs (step, share), in order of step. */
  points: readonly (readonly [number, number])[];
  /** The planned end: the empty part is what is left. */
  end: number;
  /** What it shows, in words. */
  label: string;
  wide?: boolean;
}

const WIDTH = 1000;
const HEIGHT = 100;
const TOP = 1;

export function Spark({ points, end, label, wide = false }: SparkProps) {
  const last = points.at(-1);
  const className = `${styles.spark ?? ""} ${wide ? (styles.wide ?? "") : ""}`;
  return (
    <svg className={className} role="img" aria-label={label}>
      <line className={styles.base} x1="0" x2="100%" y1="100%" y2="100%" />
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        width="100%"
        height="100%"
        overflow="visible"
      >
        <path d={sparkPath(points, end)} />
      </svg>
      {last !== undefined && (
        <circle cx={`${100 * share(last[0], end)}%`} cy={`${100 * (TOP - last[1])}%`} r="2.25" />
      )}
    </svg>
  );
}

/** Returns the curve in a box of 1000 by 100; shares from 0 at its bottom to 1 at its top. */
export function sparkPath(points: SparkProps["points"], end: number): string {
  return points
    .map(([step, value], index) => {
      const x = (WIDTH * share(step, end)).toFixed(1);
      const y = (HEIGHT * (TOP - value)).toFixed(1);
      return `${index === 0 ? "M" : "L"}${x} ${y}`;
    })
    .join("");
}

function share(step: number, end: number): number {
  return end > 0 ? Math.min(1, step / end) : 1;
}
