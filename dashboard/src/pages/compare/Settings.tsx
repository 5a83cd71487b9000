/** What differs: only settings that are not the same for all runs. */

import { useQueries, type UseQueryResult } from "@tanstack/react-query";
import { Fragment, useMemo } from "react";

import type { SetParameter } from "@/app/address";
import { modelQuery, type Model } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Note, Section } from "@/components/page/Section";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber } from "@/format/numbers";
import { byInterest, settingTexts } from "@/format/settings";

import type { View } from "./address";
import styles from "./compare.module.css";
import { COLORS, type Comparison, type ComparedSetting, type Run } from "./runs";
import { valueCounts } from "./settings_text";

const FEW = 12;
const MOST_VALUES = 6;
/** Settings whose values are ids of models. */
const NETWORKS = new Set(["teacher", "start_from", "model", "reference"]);

interface SettingsProps {
  settings: Comparison["settings"];
  runs: readonly Run[];
  view: View;
  onChange: SetParameter;
}

export function Settings({ settings, runs, view, onChange }: SettingsProps) {
  const { equal } = settings;
  const names = useModelNames(runs);
  const different = useMemo(
    () => byInterest(settings.different, ({ path }) => path).map((one) => rowOf(one, names)),
    [settings.different, names],
  );
  const isOpen = view.open.has("settings");
  const rows = isOpen ? different : different.slice(0, FEW);
  const toggle = () => {
    const open = new Set(view.open);
    if (!open.delete("settings")) open.add("settings");
    onChange("open", open.size === 0 ? undefined : [...open].join(","));
  };
  const total = formatNumber(different.length + equal);
  return (
    <Section
      title="What differs"
      note={`${formatNumber(different.length)} of ${total} settings; the other ${formatNumber(equal)} are equal`}
      more={
        different.length > FEW && (
          <Button kind="link" onClick={toggle}>
            {isOpen ? "Show fewer" : `Show ${formatNumber(different.length - FEW)} more`}
          </Button>
        )
      }
    >
      {different.length === 0 ? (
        <Note>All settings are equal: the runs are repetitions.</Note>
      ) : (
        <DataTable
          label="Differing settings"
          rows={rows}
          columns={runs.length <= COLORS ? runColumns(runs) : countColumns()}
          rowId={({ path }) => path}
        />
      )}
    </Section>
  );
}

/** Names of the teachers, which specs have by their ids. */
function useModelNames(runs: readonly Run[]): ReadonlyMap<string, string> {
  const key = [...new Set(runs.flatMap(({ job }) => job.teacher_id ?? []))].slice(0, COLORS).join();
  const ids = key === "" ? [] : key.split(",");
  return useQueries({ queries: ids.map((id) => modelQuery(id)), combine: namesOf });
}

function namesOf(queries: readonly UseQueryResult<Model>[]): ReadonlyMap<string, string> {
  return new Map(queries.flatMap(({ data }) => (data === undefined ? [] : [[data.id, data.name]])));
}

interface SettingRow {
  path: string;
  values: readonly unknown[];
  texts: readonly string[];
}

function rowOf({ path, values }: ComparedSetting, names: ReadonlyMap<string, string>): SettingRow {
  const named = NETWORKS.has(path)
    ? values.map((value) => names.get(String(value)) ?? value)
    : values;
  return { path, values: named, texts: settingTexts(named) };
}

const PATH: Column<SettingRow> = {
  id: "path",
  title: "Setting",
  isRowHead: true,
  cell: ({ path }) => <Path path={path} />,
};

/** May break after each of its parts. */
function Path({ path }: { path: string }) {
  return (
    <span className={`mono ${styles.path ?? ""}`}>
      {path.split(".").map((part, index) => (
        <Fragment key={index}>
          {index > 0 && (
            <>
              .<wbr />
            </>
          )}
          {part}
        </Fragment>
      ))}
    </span>
  );
}

function runColumns(runs: readonly Run[]): Column<SettingRow>[] {
  const columns = runs.map((run, index): Column<SettingRow> => ({
    id: run.id,
    title: <bdi>{run.label}</bdi>,
    kind: "number",
    cell: ({ texts }) => <Value text={texts[index] ?? "–"} />,
  }));
  return [PATH, ...columns];
}

/** With many runs: each value, and how many have it. */
function countColumns(): Column<SettingRow>[] {
  return [
    PATH,
    {
      id: "values",
      title: "Values, and how many runs have each",
      cell: ({ values }) => {
        const counts = valueCounts(values);
        return (
          <span className={styles.values}>
            {counts.slice(0, MOST_VALUES).map(({ text, count }) => (
              <span key={text}>
                <span className="mono">{text}</span>{" "}
                <span className="dim">× {formatNumber(count)}</span>
              </span>
            ))}
            {counts.length > MOST_VALUES && (
              <span className="dim">and {formatNumber(counts.length - MOST_VALUES)} others</span>
            )}
          </span>
        );
      },
    },
  ];
}

function Value({ text }: { text: string }) {
  if (text === "–") return <span className="dim">–</span>;
  return (
    <span className={styles.value} title={text}>
      {text}
    </span>
  );
}
