/** The groups of the form, as people think of a job. */

import { useQuery } from "@tanstack/react-query";

import { formatNumber } from "@/format/numbers";

import { valueAt } from "../spec/values";
import { useSpecField, useSpecForm } from "../fields/context";
import { imagesHint, radiusHint, stepHint } from "../fields/hints";
import { DatasetField, ModelField } from "../fields/InputChoice";
import {
  MAIN_ADVERSARY,
  MAIN_DATA,
  MAIN_SCHEDULE,
  methodParts,
  PLACED,
  RARE_STUDENT,
  RARE_SWITCHES,
} from "./layout";
import { methodOption } from "../fields/names";
import styles from "../fields/fields.module.css";
import { Disclosure, ObjectFields } from "../fields/parts";
import { SchemaField } from "../fields/SchemaField";
import { SeedField } from "./SeedField";
import { architecturesQuery } from "../spec/queries";

export function Networks({ parameters }: { parameters: number | null | undefined }) {
  const kind = useKind();
  return (
    <fieldset className={styles.group}>
      <legend>Networks</legend>
      <div className={styles.grid}>
        <SchemaField path={["name"]} span="half" />
        {kind === "distillation" && <Half path={["teacher"]} />}
        {kind === "evaluation" && <Half path={["model"]} />}
        {kind === "evaluation" && <Half path={["reference"]} />}
        {kind !== "evaluation" && <Student parameters={parameters} />}
      </div>
      <Disclosure title="More of the networks">
        {kind !== "evaluation" && (
          <>
            <SchemaField path={["student", "normalization"]} span="half" />
            <Half path={["start_from"]} />
          </>
        )}
        <SchemaField path={["metadata"]} span="half" />
        <SchemaField path={["license"]} span="half" />
        <SchemaField path={["export"]} span="wide" />
      </Disclosure>
    </fieldset>
  );
}

function useKind(): unknown {
  return valueAt(useSpecForm().job, ["kind"]);
}

function Half({ path }: { path: string[] }) {
  return (
    <div className={styles.half}>
      <ModelField path={path} />
    </div>
  );
}

function Student({ parameters }: { parameters: number | null | undefined }) {
  const architectures = useQuery(architecturesQuery).data?.data ?? [];
  const title = (name: string) => architectures.find((each) => each.name === name)?.title ?? name;
  const hint = parameters == null ? undefined : `${formatNumber(parameters)} parameters`;
  return (
    <>
      <SchemaField path={["student"]} span="half" optionLabel={title} hint={hint} />
      <StudentSettings />
    </>
  );
}

function StudentSettings() {
  return <ObjectFields path={["student"]} skip={RARE_STUDENT} span="half" />;
}

export function Method() {
  const { schema, job } = useSpecForm();
  const { field, value, fallback, isVaried } = useSpecField(["method"]);
  if (field === undefined) return null;
  // Settings of a method that is chosen elsewhere would be those of another one.
  const isOpen = isVaried && value === undefined;
  const { settings, switches, weights, parts } = methodParts(
    schema,
    isOpen ? {} : (valueAt(job, ["method"]) ?? fallback),
  );
  return (
    <fieldset className={styles.group}>
      <legend>Method</legend>
      <div className={styles.grid}>
        <SchemaField path={["method"]} span="wide" label="Method name" optionLabel={methodOption} />
        {settings.map((key) => (
          <SchemaField key={key} path={["method", key]} />
        ))}
        {weights.map((key) => (
          <SchemaField
            key={key}
            path={["method", key, "weight"]}
            label={key.charAt(0).toUpperCase() + key.slice(1)}
            aside="weight"
          />
        ))}
        {switches
          .filter((key) => !RARE_SWITCHES.includes(key))
          .map((key) => (
            <SchemaField key={key} path={["method", key]} span="half" />
          ))}
      </div>
      <MoreOfMethod
        switches={switches.filter((key) => RARE_SWITCHES.includes(key))}
        parts={parts}
      />
    </fieldset>
  );
}

interface MoreOfMethodProps {
  switches: readonly string[];
  /** Objects with settings of their own. */
  parts: readonly string[];
}

function MoreOfMethod({ switches, parts }: MoreOfMethodProps) {
  return (
    <Disclosure title="More of the method">
      <SchemaField path={["preset"]} span="wide" />
      {[...switches, ...parts].map((key) => (
        <SchemaField key={key} path={["method", key]} span="wide" />
      ))}
      <SchemaField path={["igdm"]} span="wide" />
      <SchemaField path={["averaging"]} span="wide" />
      <ObjectFields path={["averaging"]} />
      <SchemaField path={["awp"]} span="wide" />
    </Disclosure>
  );
}

export function ThreatModel() {
  const { job, resolved } = useSpecForm();
  const at = (key: string) =>
    valueAt(job, ["adversary", key]) ?? valueAt(resolved, ["adversary", key]);
  const hints: Record<string, string | undefined> = {
    radius: radiusHint(at("radius")),
    step_size: stepHint(at("step_size"), at("radius")),
  };
  if (useKind() === "evaluation") return <EvaluationThreatModel />;
  return (
    <fieldset className={styles.group}>
      <legend>Threat model</legend>
      <div className={styles.grid}>
        {MAIN_ADVERSARY.map((key) => (
          <SchemaField key={key} path={["adversary", key]} hint={hints[key]} />
        ))}
      </div>
      <Disclosure title="More of the threat model">
        <SchemaField path={["adversary"]} span="wide" />
        <ObjectFields path={["adversary"]} skip={MAIN_ADVERSARY} />
      </Disclosure>
    </fieldset>
  );
}

function EvaluationThreatModel() {
  const { job, resolved } = useSpecForm();
  const radius = valueAt(job, ["radius"]) ?? valueAt(resolved, ["radius"]);
  return (
    <fieldset className={styles.group}>
      <legend>Threat model</legend>
      <div className={styles.grid}>
        <SchemaField path={["radius"]} span="half" hint={radiusHint(radius)} />
      </div>
    </fieldset>
  );
}

interface Counts {
  training_images?: number | null;
  held_out_images?: number | null;
  test_images?: number;
}

export function DataAndSchedule({ counts }: { counts: Counts | undefined }) {
  const images = counts === undefined ? undefined : imagesHint(counts);
  const isTraining = useKind() !== "evaluation";
  return (
    <fieldset className={styles.group}>
      <legend>{isTraining ? "Data and schedule" : "Data"}</legend>
      <div className={styles.grid}>
        <div className={isTraining ? styles.third : styles.half}>
          <DatasetField path={["data", "dataset"]} hint={images} />
        </div>
        <SchemaField path={["data", "held_out"]} hint="chooses the best epoch" />
        {MAIN_SCHEDULE.map((key) => (
          <SchemaField key={key} path={["schedule", key]} />
        ))}
        <SeedField />
      </div>
      {isTraining && (
        <Disclosure title="More of data and schedule">
          <ObjectFields path={["data"]} skip={MAIN_DATA} />
          <ObjectFields path={["schedule"]} skip={MAIN_SCHEDULE} />
        </Disclosure>
      )}
    </fieldset>
  );
}

/** Fields of a newer service, which this form has no place for. */
export function OtherFields() {
  const { schema } = useSpecForm();
  const others = Object.keys(schema.properties ?? {}).filter((key) => !PLACED.includes(key));
  if (others.length === 0) return null;
  return (
    <Disclosure title="More settings">
      {others.map((key) => (
        <SchemaField key={key} path={[key]} span="half" />
      ))}
    </Disclosure>
  );
}
