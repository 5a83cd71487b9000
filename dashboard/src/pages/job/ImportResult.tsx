/** What an import made of its file: the importer's report, and where the result is. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { modelQuery, type Dataset, type Job, type Model } from "@/api/queries";
import { Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { QueryState } from "@/components/states/QueryState";

import { datasetQuery } from "./data";
import { settingsOf } from "./files/settings";
import styles from "./job.module.css";

export function ImportResult({ job }: { job: Job }) {
  const { spec } = job;
  return (
    <Section title="Import" note="the importer's report">
      {"model_id" in spec && <ModelImport id={spec.model_id} />}
      {"dataset_id" in spec && <DatasetImport id={spec.dataset_id} />}
    </Section>
  );
}

function ModelImport({ id }: { id: string }) {
  const model = useQuery(modelQuery(id));
  return (
    <QueryState query={model}>
      {(item) => <Imported to={`/models/${item.id}`} item={item} />}
    </QueryState>
  );
}

function DatasetImport({ id }: { id: string }) {
  const dataset = useQuery(datasetQuery(id));
  return (
    <QueryState query={dataset}>
      {(item) => <Imported to={`/datasets/${item.id}`} item={item} />}
    </QueryState>
  );
}

interface ImportedProps {
  to: string;
  item: Pick<Model | Dataset, "name" | "report" | "problem">;
}

function Imported({ to, item: { name, report, problem } }: ImportedProps) {
  const lines = settingsOf(report ?? problem ?? {});
  return (
    <>
      <p>
        <Link to={to}>{name}</Link>
      </p>
      <div className={styles.part}>
        <KeyValues
          facts={lines.map(({ name: label, value }) => ({
            label: label.replaceAll("_", " "),
            value,
          }))}
        />
      </div>
    </>
  );
}
