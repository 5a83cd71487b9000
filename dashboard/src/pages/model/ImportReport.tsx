/** What the importer made of an uploaded file. */

import { Link } from "react-router";

import type { Model } from "@/api/queries";
import { KeyValues } from "@/components/page/Tally";
import { Section } from "@/components/page/Section";
import { Notice } from "@/components/states/Notice";
import { Id } from "@/components/text/Id";
import { Code } from "@/components/records/Code";
import { plural } from "@/format/numbers";

import { readReport } from "./import_report";
import { detailOf } from "./sentences";

export function ImportReport({ model }: { model: Model }) {
  const { import_job_id: job, report, problem } = model;
  if (job === null) return null;
  const more = (
    <Link to={`/jobs/${job}`}>
      Import job <Id id={job} />
    </Link>
  );
  return (
    <Section title="Import" more={more}>
      {problem !== null && (
        <Notice kind="bad" title="Refused">
          <p>{detailOf(problem)}</p>
        </Notice>
      )}
      {report !== null && <Report report={report} />}
      {problem === null && report === null && <p className="small dim">Not finished yet.</p>}
    </Section>
  );
}

function Report({ report }: { report: Record<string, unknown> }) {
  const { remarks, normalization, stateDict, otherStateDicts, lists } = readReport(report);
  return (
    <>
      {remarks.length > 0 && (
        <Notice kind="warning" title="To check">
          {remarks.map((remark) => (
            <p key={remark}>{remark}</p>
          ))}
        </Notice>
      )}
      <KeyValues
        facts={[
          { label: "Normalization", value: normalization },
          { label: "State dict", value: stateDict ?? "the file is one" },
          ...(otherStateDicts.length === 0
            ? []
            : [{ label: "Not loaded", value: otherStateDicts.join(", ") }]),
        ]}
      />
      {lists.map(({ title, lines }) => (
        <details key={title}>
          <summary>
            {title}: {plural(lines.length, "tensor")}
          </summary>
          <Code label={title} text={lines.join("\n")} />
        </details>
      ))}
    </>
  );
}
