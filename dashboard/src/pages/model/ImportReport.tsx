/** What the importer made of an uploaded file. */

import type { Model } from "@/api/queries";
import { KeyValues } from "@/components/page/Tally";
import { Code } from "@/components/records/Code";
import { ImportSection } from "@/components/records/ImportSection";
import { plural } from "@/format/numbers";

import { readReport, type ReadReport } from "./import_report";

export function ImportReport({ model }: { model: Model }) {
  const { import_job_id: job, report } = model;
  if (job === null) return null;
  const read = report === null ? undefined : readReport(report);
  return (
    <ImportSection item={model} remarks={read?.remarks ?? []}>
      {read !== undefined && <Reading report={read} />}
    </ImportSection>
  );
}

/** Which of the file's tensors became the network. */
function Reading({ report }: { report: ReadReport }) {
  const { normalization, stateDict, otherStateDicts, lists } = report;
  return (
    <>
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
