/** The one bar at the bottom while rows are selected. Destructive actions last. */

import type { ReactNode } from "react";

import { Button } from "../controls/Button";
import { formatNumber } from "@/format/numbers";
import styles from "./table.module.css";

interface SelectionBarProps {
  count: number;
  onClear: () => void;
  /** Buttons: the main one filled, what does not apply disabled with its reason. */
  children: ReactNode;
}

export function SelectionBar({ count, onClear, children }: SelectionBarProps) {
  if (count === 0) return null;
  return (
    <div className={styles.selectionBar} role="region" aria-label="Selection">
      <span role="status">
        <b>{formatNumber(count)}</b> selected
      </span>
      <span className={styles.separator} />
      {children}
      <Button kind="plain" onClick={onClear}>
        Clear
      </Button>
    </div>
  );
}
