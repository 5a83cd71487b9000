/** What a person should know or decide, in a quiet box. */

import type { ReactNode } from "react";

import { Icon } from "../marks/Icon";
import styles from "./states.module.css";

interface NoticeProps {
  kind?: "info" | "warning" | "bad";
  title?: string;
  children: ReactNode;
}

export function Notice({ kind = "info", title, children }: NoticeProps) {
  return (
    <div className={`${styles.notice ?? ""} ${styles[kind] ?? ""}`}>
      <Icon name={kind === "info" ? "info" : "warning"} />
      <div>
        {title !== undefined && <h2>{title}</h2>}
        {children}
      </div>
    </div>
  );
}
