/**
 * An accuracy is never a bare number: a dot and its 95 % interval on the column's one scale.
 * Hollow: clean. Filled: under attack, or of the run's own color.
 */

import type { Interval } from "@/format/statistics";
import { formatInterval, formatPercent } from "@/format/numbers";

import styles from "./marks.module.css";

/** Bounds of a column's scale, in per cent, and its ticks. */
export interface Scale {
  low: number;
  high: number;
  ticks: readonly number[];
}

export type WhiskerKind = "clean" | "robust" | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const STEPS = [1, 2, 5, 10, 20, 25];
const MOST_TICKS = 6;

/** Returns the smallest scale with round ticks that holds all intervals (shares in [0, 1]). */
export function scaleOf(intervals: readonly Interval[]): Scale {
  const lowest = 100 * Math.min(1, ...intervals.map(([low]) => low));
  const highest = 100 * Math.max(0, ...intervals.map(([, high]) => high));
  if (lowest > highest) return makeScale(0, 100, 25);
  const step = STEPS.find((size) => ticksBetween(lowest, highest, size) <= MOST_TICKS) ?? 25;
  const low = Math.max(0, step * Math.floor(lowest / step));
  const high = Math.min(100, step * Math.ceil(highest / step));
  return makeScale(low, high > low ? high : low + step, step);
}

function ticksBetween(low: number, high: number, step: number): number {
  return Math.ceil(high / step) - Math.floor(low / step) + 1;
}

function makeScale(low: number, high: number, step: number): Scale {
  const count = Math.round((high - low) / step) + 1;
  return { low, high, ticks: Array.from({ length: count }, (_, index) => low + index * step) };
}

function position(percent: number, { low, high }: Scale): string {
  const share = (percent - low) / (high - low);
  return `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
}

interface WhiskerProps {
  value: number;
  interval: Interval;
  scale: Scale;
  kind: WhiskerKind;
}

export function Whisker({ value, interval, scale, kind }: WhiskerProps) {
  const label = `${formatPercent(value)}, 95 % interval ${formatInterval(interval)}`;
  const color = typeof kind === "number" ? styles[`data${kind}`] : styles[kind];
  return (
    <svg className={`${styles.whisker ?? ""} ${color ?? ""}`} role="img" aria-label={label}>
      <line className={styles.track} x1="0" x2="100%" y1="10" y2="10" />
      {scale.ticks.map((tick) => {
        const x = position(tick, scale);
        return <line key={tick} className={styles.tick} x1={x} x2={x} y1="6" y2="14" />;
      })}
      <line
        className={styles.interval}
        x1={position(100 * interval[0], scale)}
        x2={position(100 * interval[1], scale)}
        y1="10"
        y2="10"
      />
      <circle className={styles.dot} cx={position(100 * value, scale)} cy="10" r="3.75" />
    </svg>
  );
}

/** The scale's numbers, for the column's head. */
export function WhiskerScale({ scale }: { scale: Scale }) {
  return (
    <>
      <span className="vh">Interval on a scale</span>
      <svg className={styles.whisker} aria-hidden="true">
        {scale.ticks.map((tick) => (
          <text key={tick} x={position(tick, scale)} y="14">
            {tick}
          </text>
        ))}
      </svg>
    </>
  );
}
