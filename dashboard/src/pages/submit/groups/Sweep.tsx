/** Several values of a setting: a job for each, and one table of them all. */

import { Button } from "@/components/controls/Button";
import { Field as TextInput, SelectField } from "@/components/controls/Field";
import { formatNumber, plural } from "@/format/numbers";

import { formatEntry, parseAxis } from "../spec/entry";
import { fieldAt } from "../spec/schema";
import { isObject, valueAt, type Json } from "../spec/values";
import { useSpecForm } from "../fields/context";
import { axisPaths } from "./layout";
import styles from "../fields/fields.module.css";
import { useSweepChanges } from "./sweep_changes";
import { useEntry } from "../fields/useEntry";

/** The form has a field for seeds. */
const SEED = "seed";

export function Sweep() {
  const { body, errors } = useSpecForm();
  const axes = isObject(body.axes) ? Object.keys(body.axes) : [];
  const rows = Array.isArray(body.rows) ? body.rows : [];
  const ofRows = errors.find(({ path }) => path[0] === "rows");
  return (
    <fieldset className={styles.group}>
      <legend>Sweep</legend>
      <div className={styles.axes}>
        <p className={styles.note}>{note(axes.length, rows)}</p>
        {ofRows !== undefined && <p className={styles.error}>{ofRows.message}</p>}
        {axes
          .filter((path) => path !== SEED)
          .map((path) => (
            <Axis key={path} path={path} />
          ))}
        <AddAxis axes={axes} />
      </div>
    </fieldset>
  );
}

/** Choosing a setting varies it, at first over the value that it has. */
function AddAxis({ axes }: { axes: readonly string[] }) {
  const { schema, job, resolved } = useSpecForm();
  const { setAxis } = useSweepChanges();
  const free = axisPaths(schema, job).filter((path) => path !== SEED && !axes.includes(path));
  const add = (path: string) => {
    const keys = path.split(".");
    const usual = valueAt(resolved, keys) ?? fieldAt(schema, job, keys)?.default;
    const value = valueAt(job, keys) ?? usual ?? null;
    setAxis(path, value === null ? [] : [kindOf(value)]);
  };
  return (
    <div className={styles.axis}>
      <SelectField
        label={axes.length === 0 ? "Vary a setting" : "Vary another setting"}
        value=""
        onChange={({ target }) => add(target.value)}
      >
        <option value="">choose one</option>
        {free.map((path) => (
          <option key={path} value={path}>
            {path}
          </option>
        ))}
      </SelectField>
    </div>
  );
}

function note(axes: number, rows: readonly Json[]): string {
  if (axes + rows.length === 0) {
    return "Several values of a setting make a sweep: a job for each, and one table of them all.";
  }
  if (rows.length === 0) return "A job for every combination of these values.";
  const names = rows.map((row) => formatEntry(valueAt(row, ["name"])));
  const shown = names.slice(0, 4).join(", ");
  const more = names.length > 4 ? ` and ${formatNumber(names.length - 4)} more` : "";
  return `${plural(rows.length, "row")}, written in the YAML: ${shown}${more}. A job for each, and for every combination of these values.`;
}

/** An object of a kind is named by its kind: "starship". */
function kindOf(value: Json): Json {
  return valueAt(value, ["name"]) ?? valueAt(value, ["architecture"]) ?? value;
}

function Axis({ path }: { path: string }) {
  const { body } = useSpecForm();
  const { setAxis, removeAxis, axisError } = useSweepChanges();
  const entry = useEntry({
    value: valueAt(body, ["axes", path]),
    set: (values) => setAxis(path, Array.isArray(values) ? values : []),
    parse: parseAxis,
  });
  return (
    <div className={styles.axis}>
      <TextInput label="Setting" value={path} readOnly mono />
      <TextInput
        {...entry}
        data-field={`axes.${path}`}
        label="Values"
        error={axisError(path)}
        mono
        autoComplete="off"
        spellCheck={false}
      />
      <Button onClick={() => removeAxis(path)} aria-label={`Do not vary ${path}`}>
        Remove
      </Button>
    </div>
  );
}
