/** "Before you quote these numbers": beside the numbers, not in a manual. */

import { Link } from "react-router";

import type { Job } from "@/api/queries";
import { useScope } from "@/api/session";
import { Notice } from "@/components/states/Notice";

import type { Report } from "../data";
import styles from "../job.module.css";
import { cautions, maskingSentence } from "./quoting";

export function Quoting({ job, report }: { job: Job; report: Report }) {
  const maySubmit = useScope("submit");
  const list = cautions(report);
  const masking = maskingSentence(report.masking_checks);
  if (list.length === 0 && masking === undefined) return null;
  return (
    <div className={styles.quoting}>
      <Notice kind={list.length > 0 ? "warning" : "info"} title="Before you quote these numbers">
        <ul className={styles.cautions}>
          {list.map(({ text, isOneSeed }) => (
            <li key={text}>
              {text}{" "}
              {isOneSeed && maySubmit && (
                <Link to={`/submit?clone=${encodeURIComponent(job.id)}`}>Run two more seeds</Link>
              )}
            </li>
          ))}
          {masking !== undefined && <li>{masking}</li>}
        </ul>
      </Notice>
    </div>
  );
}
