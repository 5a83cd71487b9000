/** A run's color as a short stroke, before its name. */

import type { SeriesColor } from "@/charts";

import { colorVariable } from "./charts/color";
import styles from "./compare.module.css";

export function RunKey({ color }: { color: SeriesColor }) {
  return (
    <svg className={styles.key} viewBox="0 0 14 14" aria-hidden="true" focusable="false">
      <line x1="1" x2="13" y1="7" y2="7" style={{ stroke: colorVariable(color) }} />
    </svg>
  );
}
