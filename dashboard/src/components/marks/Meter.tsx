/** A bar of how far something is, or how full. */

import styles from "./marks.module.css";

interface MeterProps {
  value: number;
  max: number;
  /** In words, for a screen reader: "3,799 of 6,000 steps". */
  label: string;
  /** hot: near its limit. calm: a fact, not progress. */
  tone?: "progress" | "calm" | "hot";
}

export function Meter({ value, max, label, tone = "progress" }: MeterProps) {
  const className = `${styles.meter ?? ""} ${styles[tone] ?? ""}`;
  return (
    <progress className={className} value={Math.min(value, max)} max={max} aria-label={label} />
  );
}
