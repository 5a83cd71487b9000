/** One seed, or several: three seeds make a sweep. */

import { Field as TextInput } from "@/components/controls/Field";

import { formatEntry, parseAxis } from "../spec/entry";
import { valueAt, type Json } from "../spec/values";
import { isSweep } from "../yaml/document";
import { useSpecField, useSpecForm } from "../fields/context";
import styles from "../fields/fields.module.css";
import { useSweepChanges } from "./sweep_changes";
import { useEntry } from "../fields/useEntry";

export function SeedField() {
  const { body } = useSpecForm();
  const { field, value, fallback, error, id } = useSpecField(["seed"]);
  const { setSeeds, axisError } = useSweepChanges();
  const seeds = isSweep(body) ? valueAt(body, ["axes", "seed"]) : undefined;
  const entry = useEntry({
    value: seeds ?? value,
    set: (next) => setSeeds(Array.isArray(next) ? next : next === undefined ? [] : [next]),
    parse: parseSeeds,
  });
  if (field === undefined) return null;
  return (
    <div className={styles.third}>
      <TextInput
        {...entry}
        data-field={seeds === undefined ? id : "axes.seed"}
        label={Array.isArray(seeds) ? "Seeds" : "Seed"}
        hint={Array.isArray(seeds) ? seedsHint(seeds.length) : "0, 1, 2: three seeds make a sweep"}
        error={error ?? axisError("seed")}
        placeholder={formatEntry(fallback)}
        inputMode="text"
        autoComplete="off"
      />
    </div>
  );
}

function seedsHint(count: number): string {
  return `${count} jobs for each line of the table: mean and standard deviation`;
}

/** One value is a job's seed; several are an axis. */
export function parseSeeds(text: string): Json | undefined {
  const values = parseAxis(text);
  return values.length > 1 ? values : values[0];
}
