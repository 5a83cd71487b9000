/** Models that are in no ranking: uploads that were not measured yet, or were refused. */

import { Link } from "react-router";

import type { Model } from "@/api/queries";
import { Section } from "@/components/page/Section";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";
import { ItemStatus } from "@/components/records/ItemStatus";
import { formatNumber } from "@/format/numbers";

import styles from "./models.module.css";

const COLUMNS: Column<Model>[] = [
  {
    id: "name",
    title: "Model",
    isRowHead: true,
    sortBy: ({ name }) => name,
    cell: ({ id, name }) => (
      <Link className={styles.name} to={`/models/${id}`} title={name}>
        {name}
      </Link>
    ),
  },
  { id: "status", title: "State", cell: ({ status }) => <ItemStatus status={status} /> },
  {
    id: "architecture",
    title: "Architecture",
    hide: "phone",
    cell: ({ architecture }) => architecture,
  },
  {
    id: "parameters",
    title: "Parameters",
    kind: "number",
    hide: "phone",
    sortBy: ({ parameters }) => parameters ?? undefined,
    cell: ({ parameters }) => (parameters === null ? "" : formatNumber(parameters)),
  },
  {
    id: "created",
    title: "Created",
    kind: "number",
    sortBy: ({ created_at: at }) => at,
    cell: ({ created_at: at }) => <Time at={at} />,
  },
];

interface OtherModelsProps {
  models: readonly Model[];
  /** A ranking has only its best: the others may be among these. */
  isCut: boolean;
}

export function OtherModels({ models, isCut }: OtherModelsProps) {
  return (
    <Section
      title={isCut ? "Further models" : "Not measured"}
      note={isCut ? "not measured, or not among the best of a ranking" : "models in no ranking"}
    >
      <DataTable label="Models in no ranking" rows={models} columns={COLUMNS} rowId={idOf} />
    </Section>
  );
}

function idOf({ id }: Model): string {
  return id;
}
