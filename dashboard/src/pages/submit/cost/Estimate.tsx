import { Notice } from "@/components/states/Notice";

import styles from "../submit.module.css";
import type { DryRun } from "./dry_run";
import { figuresOf, timeSentences } from "./estimate";

/** What the last valid form costs. */
export function Estimate({ dryRun, isOld }: { dryRun: DryRun | undefined; isOld: boolean }) {
  if (dryRun === undefined) return <div className={styles.estimate} aria-hidden="true" />;
  return (
    <>
      <dl className={`${styles.estimate ?? ""} ${isOld ? (styles.old ?? "") : ""}`}>
        {figuresOf(dryRun).map(({ label, value, detail }) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
            <dd>{detail}</dd>
          </div>
        ))}
      </dl>
      {timeSentences(dryRun).map((sentence) => (
        <p key={sentence} className={styles.note}>
          {sentence}
        </p>
      ))}
      {!isOld &&
        dryRun.result.warnings.map((warning) => (
          <Notice key={warning} kind="warning">
            {warning}
          </Notice>
        ))}
    </>
  );
}
