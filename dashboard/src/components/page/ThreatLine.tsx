/** The threat model in words: it stands above the first robust number of every page. */

import type { ReactNode } from "react";

import { threatModelSentence, threatModelTitle, type ThreatModel } from "@/format/threat_model";

import styles from "./page.module.css";

interface ThreatLineProps {
  threatModel: ThreatModel;
  /** Further sentences: what training and test use. */
  children?: ReactNode;
}

export function ThreatLine({ threatModel, children }: ThreatLineProps) {
  const { before, radius, after } = threatModelSentence(threatModel);
  return (
    <div className={styles.threat}>
      <ThreatTag threatModel={threatModel} />
      <p>
        {before}
        <strong>{radius}</strong>
        {after} {children}
      </p>
    </div>
  );
}

/** "L∞ 8/255" in a frame. */
export function ThreatTag({ threatModel }: { threatModel: ThreatModel }) {
  return <span className={styles.tag}>{threatModelTitle(threatModel)}</span>;
}
