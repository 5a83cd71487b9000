/** What is measured: attacks and analyses as check boxes, the settings of each behind a line. */

import { fieldAt, firstSentence, resolve, variantsOf, type Variant } from "../spec/schema";
import { isObject, valueAt, type Json, type Path } from "../spec/values";
import { bodyPathOf, useSpecForm } from "../fields/context";
import { MAIN_EVALUATION } from "./layout";
import { kindLabel } from "../fields/names";
import styles from "../fields/fields.module.css";
import { Disclosure, ObjectFields } from "../fields/parts";

export function Tests() {
  return (
    <fieldset className={styles.group}>
      <legend>Test with</legend>
      <MeasureChecks path={["evaluation", "attacks"]} />
      <MeasureChecks path={["evaluation", "analyses"]} />
      <Disclosure title="More of the tests">
        <MeasureSettings path={["evaluation", "attacks"]} />
        <MeasureSettings path={["evaluation", "analyses"]} />
        <ObjectFields path={["evaluation"]} skip={MAIN_EVALUATION} />
      </Disclosure>
    </fieldset>
  );
}

interface Measures {
  list: Json[];
  variants: Variant[];
  error: string | undefined;
  change: (list: Json[]) => void;
}

function useMeasures(path: Path): Measures {
  const form = useSpecForm();
  const field = fieldAt(form.schema, form.job, path);
  const item = resolve(form.schema, field?.items ?? {});
  const list = valueAt(form.job, path) ?? kindsOf(field?.default);
  const bodyPath = bodyPathOf(form, path);
  const errors = form.errors.filter(({ path: wrong }) =>
    bodyPath.every((key, index) => key === wrong[index]),
  );
  const isShown = (length: number) => length <= bodyPath.length + 1;
  return {
    list: Array.isArray(list) ? list : [],
    variants: variantsOf(form.schema, item),
    error: errors.find(({ path: wrong }) => isShown(wrong.length))?.message,
    change: (next) => form.change(bodyPath, next),
  };
}

/** The default's measures by name alone: their settings are defaults, too. */
function kindsOf(list: Json | undefined): Json[] {
  return Array.isArray(list) ? list.map((item) => ({ name: valueAt(item, ["name"]) ?? null })) : [];
}

function MeasureChecks({ path }: { path: Path }) {
  const { schema } = useSpecForm();
  const { list, variants, error, change } = useMeasures(path);
  const id = useSpecId(path);
  return (
    <>
      <div className={styles.checks}>
        {variants.map((variant, index) => {
          const chosen = list.filter((item) => valueAt(item, ["name"]) === variant.name);
          return (
            <div key={variant.name}>
              <label className={styles.check}>
                <input
                  type="checkbox"
                  {...(index === 0 ? { "data-field": id } : {})}
                  checked={chosen.length > 0}
                  onChange={() => change(toggled(list, variants, variant.name))}
                />
                {measureLabel(variant, chosen[0], schema)}
              </label>
              <p className={`${styles.below ?? ""} ${styles.hint ?? ""}`}>
                {firstSentence(variant.schema)}
              </p>
            </div>
          );
        })}
      </div>
      {error !== undefined && <p className={styles.error}>{error}</p>}
    </>
  );
}

function useSpecId(path: Path): string {
  return bodyPathOf(useSpecForm(), path).join(".");
}

/** In the schema's order; those that stay keep their settings. */
function toggled(list: readonly Json[], variants: readonly Variant[], name: string): Json[] {
  const isOn = list.some((item) => valueAt(item, ["name"]) === name);
  if (isOn) return list.filter((item) => valueAt(item, ["name"]) !== name);
  const place = (item: Json) =>
    variants.findIndex((variant) => variant.name === valueAt(item, ["name"]));
  return [...list, { name }].sort((a, b) => place(a) - place(b));
}

/** "PGD-20", with the steps that are set or usual. */
function measureLabel(variant: Variant, chosen: Json | undefined, root: object): string {
  const label = kindLabel(variant.name);
  const steps = resolve(root, variant.schema.properties?.steps ?? {}).default;
  const count = valueAt(chosen, ["steps"]) ?? steps;
  const isAttack = variant.name === "pgd" || variant.name === "cw";
  return isAttack && typeof count === "number" ? `${label}-${count}` : label;
}

/** A part for each measure that is chosen and has settings. */
function MeasureSettings({ path }: { path: Path }) {
  const { schema, job } = useSpecForm();
  const { variants } = useMeasures(path);
  const written = valueAt(job, path);
  if (!Array.isArray(written)) return null;
  return written.map((item, index) => {
    const variant = variants.find(({ name }) => name === valueAt(item, ["name"]));
    const settings = Object.keys(variant?.schema.properties ?? {}).length - 1;
    if (variant === undefined || settings < 1 || !isObject(item)) return null;
    return (
      <fieldset key={index} className={`${styles.part ?? ""} ${styles.wide ?? ""}`}>
        <legend>{measureLabel(variant, item, schema)}</legend>
        <div className={styles.grid}>
          <ObjectFields path={[...path, index]} />
        </div>
      </fieldset>
    );
  });
}
