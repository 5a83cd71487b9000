import { useLiveState } from "@/api/live/LiveProvider";
import { formatClock } from "@/format/times";

import styles from "./Shell.module.css";

/** "Live", or since when the page is not. */
export function LiveMark() {
  const { status, currentAt } = useLiveState();
  const isLost = status === "reconnecting" || status === "signed out";
  const className = [styles.live, isLost ? styles.lost : "", status === "live" ? styles.on : ""];
  return (
    <span className={className.join(" ")} role="status">
      {status === "live" && "Live"}
      {status === "connecting" && "Connecting"}
      {isLost && (
        <>
          Reconnecting
          {currentAt !== undefined && (
            <span className={styles.asOf}>, data of {formatClock(currentAt, true)}</span>
          )}
        </>
      )}
    </span>
  );
}
