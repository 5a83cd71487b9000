/** A measure over a numeric setting: means joined by lines, bars of one standard deviation. */

import { useMemo } from "react";

import { useAddress } from "@/app/address";
import { Section } from "@/components/page/Section";

import { AxisChart } from "./AxisChart";
import type { SweepDetail, Table } from "./data";
import { curvesOver, numericAxes } from "./lines";
import { groupOf } from "./sentences";
import styles from "./sweep.module.css";

interface AxisCurvesProps {
  sweep: SweepDetail;
  table: Table;
}

export function AxisCurves({ sweep, table }: AxisCurvesProps) {
  const { parameters } = useAddress();
  const axes = useMemo(() => numericAxes(sweep.spec), [sweep.spec]);
  const accuracies = table.measures.filter((key) => table.descriptions[key]?.accuracy);
  const axis = chosenOf(axes, parameters.get("axis"));
  const preferred = accuracies.find((key) => table.descriptions[key]?.name === "held_out_pgd");
  const measure = chosenOf(accuracies, parameters.get("measure") ?? preferred ?? null);
  const curves = useMemo(
    () => (axis && measure ? curvesOver(sweep.spec, table, axis, measure) : []),
    [sweep.spec, table, axis, measure],
  );
  const description = table.descriptions[measure ?? ""];
  if (axis === undefined || measure === undefined || curves.length === 0) return null;
  return (
    <Section
      title={`Over ${axis}`}
      note={`${description?.label ?? measure}, %, ${groupOf(measure)}; bars: ± one standard deviation`}
      more={<Controls {...{ axes, axis, accuracies, measure, table }} />}
    >
      <AxisChart curves={curves} xLabel={axis} yLabel={description?.label ?? measure} />
    </Section>
  );
}

interface ControlsProps {
  axes: readonly string[];
  axis: string;
  accuracies: readonly string[];
  measure: string;
  table: Table;
}

function Controls({ axes, axis, accuracies, measure, table }: ControlsProps) {
  const { set } = useAddress();
  return (
    <span className={styles.controls}>
      {axes.length > 1 && (
        <Choice
          label="Setting"
          values={axes}
          value={axis}
          onChange={(value) => set("axis", value)}
        />
      )}
      <Choice
        label="Measure"
        values={accuracies}
        value={measure}
        title={(key) => `${table.descriptions[key]?.label ?? key} · ${groupOf(key)}`}
        onChange={(value) => set("measure", value)}
      />
    </span>
  );
}

function chosenOf(values: readonly string[], chosen: string | null): string | undefined {
  return values.find((value) => value === chosen) ?? values[0];
}

interface ChoiceProps {
  label: string;
  values: readonly string[];
  value: string;
  title?: (value: string) => string;
  onChange: (value: string) => void;
}

function Choice({ label, values, value, title, onChange }: ChoiceProps) {
  return (
    <select
      className={styles.select}
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value)}
    >
      {values.map((each) => (
        <option key={each} value={each}>
          {title?.(each) ?? each}
        </option>
      ))}
    </select>
  );
}
