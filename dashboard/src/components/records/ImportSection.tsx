/** What an import made of an uploaded file: why it was refused, and what a person should check. */

import type { ReactNode } from "react";
import { Link } from "react-router";

import type { Dataset, Model } from "@/api/queries";
import { Section } from "../page/Section";
import { Notice } from "../states/Notice";
import { Id } from "../text/Id";
import styles from "./records.module.css";

interface ImportProps {
  item: Pick<Dataset | Model, "import_job_id" | "problem" | "report">;
  remarks: readonly string[];
  children: ReactNode;
}

export function ImportSection({ item, remarks, children }: ImportProps) {
  const { import_job_id: job, problem, report } = item;
  const detail = problem?.detail;
  const more = job !== null && (
    <Link to={`/jobs/${job}`}>
      Import job <Id id={job} />
    </Link>
  );
  return (
    <Section title="Import" more={more}>
      <div className={styles.import}>
        {problem !== null && (
          <Notice kind="bad" title="Refused">
            <p>{typeof detail === "string" ? detail : "No reason was given."}</p>
          </Notice>
        )}
        {remarks.length > 0 && (
          <Notice kind="warning" title="To check">
            {remarks.map((remark) => (
              <p key={remark}>{remark}</p>
            ))}
          </Notice>
        )}
        {children}
        {problem === null && report === null && <p className="small dim">Not finished yet.</p>}
      </div>
    </Section>
  );
}
