import { useContext } from "react";

import { Segmented } from "@/components/controls/Segmented";

import type { DryRun } from "../cost/dry_run";
import { useSpecForm } from "../fields/context";
import { firstSentence, jobSchema, type Schema } from "../spec/schema";
import { textAt, valueAt, withValue, type JsonObject } from "../spec/values";
import { jobPart, textOf } from "../yaml/document";
import { DataAndSchedule, Method, Networks, OtherFields, ThreatModel } from "./groups";
import { asKind } from "./layout";
import styles from "../fields/fields.module.css";
import { Sweep } from "./Sweep";
import { TextContext } from "./sweep_changes";
import { Tests } from "./Tests";

interface JobFormProps {
  /** Of all kinds of jobs. */
  schema: Schema;
  /** The YAML can be read; until then the form shows how it was. */
  isReadable: boolean;
  dryRun: DryRun | undefined;
}

export function JobForm({ schema, isReadable, dryRun }: JobFormProps) {
  const estimate = dryRun?.endpoint === "jobs" ? dryRun.result.estimate : undefined;
  return (
    <form aria-label="Job" onSubmit={(event) => event.preventDefault()}>
      <fieldset disabled={!isReadable} className={styles.form}>
        <KindChoice schema={schema} />
        <Networks parameters={estimate?.student_parameters} />
        <Method />
        <ThreatModel />
        <DataAndSchedule counts={estimate} />
        <Tests />
        <Sweep />
        <OtherFields />
      </fieldset>
    </form>
  );
}

const KINDS = [
  { value: "distillation", label: "Distillation" },
  { value: "adversarial_training", label: "Adversarial training" },
  { value: "evaluation", label: "Evaluation" },
];

function KindChoice({ schema }: { schema: Schema }) {
  const { job, body } = useSpecForm();
  const { setText } = useContext(TextContext);
  const kind = textAt(job, ["kind"]);
  const change = (next: string) => {
    const { prefix } = jobPart(body);
    const changed = ofKind(job, next, jobSchema(schema, next) ?? schema);
    setText(textOf(withValue(body, prefix, changed) as JsonObject));
  };
  const sentence = firstSentence(jobSchema(schema, kind) ?? {});
  return (
    <div className={styles.kinds}>
      <Segmented label="Kind of job" options={KINDS} value={kind} onChange={change} />
      {sentence !== undefined && <span className={styles.note}>{sentence}</span>}
    </div>
  );
}

/** What the job keeps as another kind; the radius it is trained at is that to evaluate it at. */
export function ofKind(job: JsonObject, kind: string, schema: Schema): JsonObject {
  const changed = asKind(job, kind, schema);
  const radius = valueAt(job, ["adversary", "radius"]) ?? valueAt(job, ["radius"]);
  if (radius === undefined) return changed;
  if (kind === "evaluation") {
    const dataset = valueAt(job, ["data", "dataset"]);
    return { ...changed, ...(dataset === undefined ? {} : { data: { dataset } }), radius };
  }
  return valueAt(changed, ["adversary"]) === undefined
    ? { ...changed, adversary: { name: "pgd", radius } }
    : changed;
}
