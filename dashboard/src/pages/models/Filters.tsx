/** Search, roles, and a choice for whatever the models differ in. All of it is in the address. */

import { Segmented } from "@/components/controls/Segmented";
import { methodTitle } from "@/format/names";
import { parseThreatModel, threatModelTitle } from "@/format/threat_model";

import type { Section } from "./data";
import { CHOICES, choicesOf, type Filters as Values, type Role } from "./filters";
import styles from "./models.module.css";

const TITLES = {
  dataset: "Data set",
  threat: "Threat model",
  method: "Method",
  architecture: "Architecture",
};
const ROLES: readonly { value: Role; label: string }[] = [
  { value: "all", label: "All" },
  { value: "students", label: "Students" },
  { value: "teachers", label: "Teachers" },
];

interface FiltersProps {
  sections: readonly Section[];
  values: Values;
  /** An empty value removes the filter. */
  onChange: (name: string, value: string) => void;
}

export function Filters({ sections, values, onChange }: FiltersProps) {
  const choices = choicesOf(sections);
  return (
    <form className={styles.filters} role="search" onSubmit={(event) => event.preventDefault()}>
      <input
        className={styles.search}
        type="search"
        aria-label="Search models"
        placeholder="Name, architecture"
        value={values.text}
        onChange={(event) => onChange("q", event.target.value)}
      />
      <Segmented
        label="Roles"
        options={ROLES}
        value={values.role}
        onChange={(role) => onChange("role", role === "all" ? "" : role)}
      />
      {CHOICES.filter((name) => choices[name].length > 1 || values[name] !== "").map((name) => (
        <select
          key={name}
          className={styles.choice}
          aria-label={TITLES[name]}
          value={values[name]}
          onChange={(event) => onChange(name, event.target.value)}
        >
          <option value="">{TITLES[name]}: any</option>
          {choices[name].map((value) => (
            <option key={value} value={value}>
              {optionTitle(name, value)}
            </option>
          ))}
        </select>
      ))}
    </form>
  );
}

function optionTitle(name: (typeof CHOICES)[number], value: string): string {
  if (name === "method") return methodTitle(value);
  const threat = name === "threat" ? parseThreatModel(value) : undefined;
  return threat === undefined ? value : threatModelTitle(threat);
}
