/** What differs: only settings that are not the same for all runs. */

import { Button } from "@/components/controls/Button";
import { Note, Section } from "@/components/page/Section";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber } from "@/format/numbers";

import type { View } from "./address";
import styles from "./compare.module.css";
import type { Change } from "./index";
import { COLORS, type Comparison, type ComparedSetting, type Run } from "./runs";
import { settingText, valueCounts } from "./settings_text";

const FEW = 10;
const MOST_VALUES = 6;

interface SettingsProps {
  settings: Comparison["settings"];
  runs: readonly Run[];
  view: View;
  onChange: Change;
}

export function Settings({ settings, runs, view, onChange }: SettingsProps) {
  const { different, equal } = settings;
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
          <Button kind="plain" onClick={toggle}>
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

const PATH: Column<ComparedSetting> = {
  id: "path",
  title: "Setting",
  isRowHead: true,
  cell: ({ path }) => <span className="mono">{path}</span>,
};

function runColumns(runs: readonly Run[]): Column<ComparedSetting>[] {
  const columns = runs.map((run, index): Column<ComparedSetting> => ({
    id: run.id,
    title: <bdi>{run.label}</bdi>,
    kind: "number",
    cell: ({ values }) => <Value value={values[index]} />,
  }));
  return [PATH, ...columns];
}

/** With many runs: each value, and how many have it. */
function countColumns(): Column<ComparedSetting>[] {
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

function Value({ value }: { value: unknown }) {
  const text = settingText(value);
  if (text === "–") return <span className="dim">–</span>;
  return (
    <span className={styles.value} title={text}>
      {text}
    </span>
  );
}
