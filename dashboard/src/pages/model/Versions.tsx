/** All versions of the model's series; the accuracies are those of one threat model. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";

import type { Model } from "@/api/queries";
import { Section } from "@/components/page/Section";
import { QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { ItemStatus } from "@/components/records/ItemStatus";
import { Time } from "@/components/text/Time";
import { formatShare, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import { versionsQuery } from "./data";
import styles from "./model.module.css";
import { groupResults, type ResultGroup } from "./results";

export function Versions({ model }: { model: Model }) {
  const versions = useQuery(versionsQuery(model.series));
  const group = useMemo(() => groupResults(model)[0], [model]);
  const columns = useMemo(() => columnsOf(model.id, group), [model.id, group]);
  const count = versions.data?.data.length;
  if (count === 1) return null;
  return (
    <Section
      title="Versions"
      note={`${model.series}${count === undefined ? "" : `, ${plural(count, "version")}`}`}
    >
      <QueryState query={versions}>
        {({ data }) => (
          <DataTable label="Versions" rows={data} columns={columns} rowId={({ id }) => id} />
        )}
      </QueryState>
    </Section>
  );
}

function columnsOf(current: string, group: ResultGroup | undefined): Column<Model>[] {
  return [
    {
      id: "version",
      title: "Version",
      kind: "number",
      sortBy: ({ series_version: version }) => version ?? undefined,
      cell: ({ series_version: version }) => version ?? "",
    },
    nameColumn(current),
    { id: "aliases", title: "Aliases", cell: ({ aliases }) => aliases.join(", ") },
    ...resultColumns(group),
    {
      id: "status",
      title: "State",
      hide: "phone",
      cell: ({ status }) => <ItemStatus status={status} />,
    },
    {
      id: "created",
      title: "Created",
      kind: "number",
      sortBy: ({ created_at: at }) => at,
      cell: ({ created_at: at }) => <Time at={at} />,
    },
  ];
}

function nameColumn(current: string): Column<Model> {
  return {
    id: "name",
    title: "Model",
    isRowHead: true,
    cell: ({ id, name }) =>
      id === current ? (
        <span className={`strong ${styles.clip ?? ""}`} aria-current="true" title={name}>
          {name}
        </span>
      ) : (
        <Link className={styles.clip} to={`/models/${id}`} title={name}>
          {name}
        </Link>
      ),
  };
}

/** Only results on the same data under the same attack stand in one column. */
function resultColumns(group: ResultGroup | undefined): Column<Model>[] {
  return (group?.rows ?? []).map(({ measure }) => {
    const { key, label, threatModel } = measure;
    const valueOf = ({ results }: Model) => {
      const result = results[key];
      return result?.dataset_id === group?.datasetId ? result?.value : undefined;
    };
    const isDeciding = key === group?.deciding?.measure.key;
    return {
      id: key,
      title: threatModel === undefined ? label : `${label}, ${threatModelTitle(threatModel)}`,
      kind: "number",
      ...(isDeciding ? {} : { hide: "phone" }),
      sortBy: valueOf,
      cell: (model) => {
        const value = valueOf(model);
        if (value === undefined) return "";
        return <span className={isDeciding ? "strong" : undefined}>{formatShare(value)}</span>;
      },
    } satisfies Column<Model>;
  });
}
