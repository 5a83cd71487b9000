/** Text, chips of the filters that are on, and what the accuracies are of. */

import { useEffect, useRef, useState } from "react";

import { Icon } from "@/components/marks/Icon";

import { chipsOf, sortChanges, type Changes, type Chip, type View } from "../address";
import type { Accuracies } from "../data";
import { FilterDialog } from "./FilterDialog";
import styles from "../jobs.module.css";
import { scopeTitle } from "../measures";

const TYPING_MS = 300;

interface FiltersProps {
  view: View;
  accuracies: Accuracies;
  /** "27 of 27". */
  count: string;
  onChange: (changes: Changes) => void;
  onClear: () => void;
}

export function Filters({ view, accuracies, count, onChange, onClear }: FiltersProps) {
  const [isOpen, setOpen] = useState(false);
  const { filters } = view;
  const chips = chipsOf(filters);
  return (
    <div className={styles.filters} role="search" aria-label="Filter jobs">
      <Search text={filters.q ?? ""} onChange={(q) => onChange({ q })} />
      <Chips chips={chips} onRemove={onChange} />
      <button type="button" className={styles.add} onClick={() => setOpen(true)}>
        Add filter
      </button>
      {chips.length > 1 && (
        <button type="button" className={styles.add} onClick={onClear}>
          Remove all
        </button>
      )}
      <ScopeChoice accuracies={accuracies} onChoose={(scope) => onChange({ scope })} />
      <SortChoice view={view} accuracies={accuracies} onChoose={onChange} />
      <span className={styles.count} role="status">
        {count}
      </span>
      {isOpen && (
        <FilterDialog
          filters={filters}
          accuracies={accuracies}
          onApply={onChange}
          onClose={() => setOpen(false)}
        />
      )}
    </div>
  );
}

function Chips(props: { chips: readonly Chip[]; onRemove: (changes: Changes) => void }) {
  return props.chips.map(({ label, value, changes }) => (
    <span key={label + value} className={styles.chip}>
      <span title={`${label} ${value}`}>
        {label} <b>{value}</b>
      </span>
      <button
        type="button"
        aria-label={`Remove filter: ${label} ${value}`}
        onClick={() => props.onRemove(changes)}
      >
        <Icon name="close" />
      </button>
    </span>
  ));
}

function Search({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const [shown, setShown] = useState(text);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  if (text !== shown) {
    // The address has changed by other means: Back, or a link.
    setShown(text);
    setTyped(text);
  }
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (value: string) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setShown(value.trim());
      onChange(value.trim());
    }, TYPING_MS);
  };
  return (
    <div className={styles.search}>
      <input
        className={styles.input}
        type="search"
        placeholder="Name, id, or metadata"
        aria-label="Search jobs"
        maxLength={200}
        value={typed}
        onChange={(event) => type(event.target.value)}
      />
    </div>
  );
}

interface ScopeChoiceProps {
  accuracies: Accuracies;
  onChoose: (key: string) => void;
}

/** Unlike threat models and data never share a column: one of them is shown at a time. */
function ScopeChoice({ accuracies: { scopes, scope }, onChoose }: ScopeChoiceProps) {
  if (scopes.length < 2) return null;
  return (
    <label className={styles.choice}>
      Accuracy under
      <select
        className={styles.select}
        value={scope?.key}
        onChange={(event) => onChoose(event.target.value)}
      >
        {scopes.map((one) => (
          <option key={one.key} value={one.key}>
            {scopeTitle(one)}
          </option>
        ))}
      </select>
    </label>
  );
}

interface SortChoiceProps {
  view: View;
  accuracies: Accuracies;
  onChoose: (changes: Changes) => void;
}

/** On a phone, where the table's heads are not shown. */
function SortChoice({ view, accuracies: { measures, scope }, onChoose }: SortChoiceProps) {
  const orders = [
    { value: "-created_at", label: "newest first" },
    { value: "created_at", label: "oldest first" },
    ...measures.map(({ key, label }) => ({ value: `-${key}`, label: `${label}, best first` })),
  ];
  const choose = (sort: string) => onChoose(sortChanges(sort, scope?.datasetId));
  return (
    <label className={`${styles.choice ?? ""} ${styles.phoneOnly ?? ""}`}>
      Order
      <select
        className={styles.select}
        value={view.sort}
        onChange={(event) => choose(event.target.value)}
      >
        {orders.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}
