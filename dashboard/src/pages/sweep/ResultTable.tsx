/** Mean and standard deviation over the seeds, a line for each combination of settings. */

import { useMemo } from "react";

import { useAddress } from "@/app/address";
import { Button } from "@/components/controls/Button";
import { Section } from "@/components/page/Section";
import { ThreatLine } from "@/components/page/ThreatLine";
import { parseMeasure } from "@/format/measures";
import { plural } from "@/format/numbers";
import { threatModelKey, type ThreatModel } from "@/format/threat_model";
import { Segmented } from "@/components/controls/Segmented";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Empty } from "@/components/states/QueryState";

import type { Line, Network, Table } from "./data";
import { cellText, columnTitle, groupOf, OTHER } from "./sentences";
import styles from "./sweep.module.css";

interface ResultTableProps {
  table: Table;
  network: Network;
  onNetwork: (network: Network) => void;
}

const NETWORKS: readonly { value: Network; label: string }[] = [
  { value: "best", label: "Best epoch" },
  { value: "last", label: "Last epoch" },
];

export function ResultTable({ table, network, onNetwork }: ResultTableProps) {
  const { parameters, set } = useAddress();
  const showsAll = parameters.get("measures") === "all";
  const columns = useMemo(() => columnsOf(table, showsAll), [table, showsAll]);
  const others = table.measures.filter((key) => groupOf(key) === OTHER).length;
  const choice = table.network !== "model" && (
    <Segmented label="Network" options={NETWORKS} value={network} onChange={onNetwork} />
  );
  return (
    <Section
      title="Results"
      note="mean ± standard deviation over the seeds, accuracies in %; test images choose nothing"
      more={choice}
    >
      {table.measures.length === 0 && <Empty>No job has a result yet.</Empty>}
      {threatModelsOf(table).map((threatModel) => (
        <ThreatLine key={threatModelKey(threatModel)} threatModel={threatModel} />
      ))}
      <DataTable label="Results" rows={table.lines} columns={columns} rowId={({ name }) => name} />
      {others > 0 && (
        <Button kind="plain" onClick={() => set("measures", showsAll ? "" : "all")}>
          {showsAll ? "Accuracies only" : plural(others, "further measure")}
        </Button>
      )}
    </Section>
  );
}

/** Those of the table's columns: they stand in words above its numbers. */
function threatModelsOf({ measures }: Table): ThreatModel[] {
  const models = measures
    .map((key) => parseMeasure(key).threatModel)
    .filter((threatModel) => threatModel !== undefined);
  return [...new Map(models.map((model) => [threatModelKey(model), model])).values()];
}

/** Columns of one threat model stand beside each other, under a head of their own. */
function columnsOf(table: Table, showsAll: boolean): Column<Line>[] {
  const all = [...new Set(table.measures.map(groupOf))];
  const groups = showsAll ? all : all.filter((group) => group !== OTHER);
  const keys = groups.flatMap((group) => table.measures.filter((key) => groupOf(key) === group));
  return [
    {
      id: "line",
      title: "Line",
      isRowHead: true,
      sortBy: ({ name }) => name,
      cell: ({ name, best }) => (
        <span className={styles.name} title={name}>
          {name} {best && <span className={styles.best}>best by held-out</span>}
        </span>
      ),
    },
    {
      id: "seeds",
      title: "Seeds",
      kind: "number",
      hide: "phone",
      cell: ({ done, jobs }) => (done === jobs ? jobs : `${done} of ${jobs}`),
    },
    ...keys.map((key) => measureColumn(key, table)),
  ];
}

function measureColumn(key: string, table: Table): Column<Line> {
  const description = table.descriptions[key];
  const unit = description === undefined || description.accuracy ? "" : `, ${description.unit}`;
  return {
    id: key,
    title: `${columnTitle(key, description?.label ?? key)}${unit}`,
    kind: "number",
    group: groupOf(key),
    sortBy: ({ cells }) => cells[key]?.mean,
    cell: ({ cells, best }) => {
      const cell = cells[key];
      if (cell === undefined || description === undefined) return "";
      return (
        <span className={best ? "strong" : undefined} title={`${cell.n} seeds`}>
          {cellText(cell, description)}
        </span>
      );
    },
  };
}
