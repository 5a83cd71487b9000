/** The form and the YAML of one job, side by side: two views of one text. */

import { useRef, type ReactNode, type RefObject } from "react";
import { Link } from "react-router";

import type { FieldProblem } from "@/api/problem";
import { useScope } from "@/api/session";
import { Button } from "@/components/controls/Button";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { Column, Columns } from "@/components/page/Section";

import { useDryRun, type DryRunState } from "./cost/dry_run";
import { SpecFormContext, type SpecForm } from "./fields/context";
import { JobForm } from "./groups/JobForm";
import { TextContext } from "./groups/sweep_changes";
import { answerParts, startPhrase } from "./sentences";
import { jobSchema, missingKinds, type Schema } from "./spec/schema";
import { textAt, valueAt } from "./spec/values";
import type { Start } from "./start/start";
import { SidePane } from "./SidePane";
import { useSpecText, type SpecText } from "./useSpecText";
import { changeText, jobPart } from "./yaml/document";
import { changedLines } from "./yaml/line_marks";

interface WorkbenchProps {
  search: string;
  start: Start;
  schema: Schema;
  /** The button that chooses another start. */
  choose: ReactNode;
}

const NO_PROBLEMS: readonly FieldProblem[] = [];

export function Workbench({ search, start, schema, choose }: WorkbenchProps) {
  const spec = useSpecText(search, start);
  const maySubmit = useScope("submit");
  const dry = useDryRun(maySubmit && spec.syntax === undefined ? spec.body : undefined);
  const area = useRef<HTMLTextAreaElement>(null);
  const isChanged = changedLines(start.text, spec.text);
  const problems = dry.problem?.errors ?? NO_PROBLEMS;
  return (
    <>
      <PageHead
        title="New job"
        answer={<AnswerLine start={start} isChanged={isChanged} problems={problems} spec={spec} />}
        actions={
          <>
            {spec.text !== start.text && (
              <Button onClick={() => spec.setText(start.text)}>Undo all changes</Button>
            )}
            {choose}
            <Button onClick={() => selectAll(area)}>Paste YAML</Button>
          </>
        }
      />
      <TextContext value={spec}>
        <SpecFormContext value={formOf(spec, dry, schema, problems)}>
          <Columns>
            <Column span={7}>
              <JobForm schema={schema} isReadable={spec.syntax === undefined} dryRun={dry.last} />
            </Column>
            <Column span={5}>
              <SidePane spec={spec} start={start} dry={dry} isChanged={isChanged} area={area} />
            </Column>
          </Columns>
        </SpecFormContext>
      </TextContext>
    </>
  );
}

interface AnswerLineProps {
  start: Start;
  isChanged: readonly boolean[];
  problems: readonly FieldProblem[];
  spec: SpecText;
}

function AnswerLine({ start, isChanged, problems, spec }: AnswerLineProps) {
  const changed = isChanged.filter(Boolean).length;
  const work = { changedLines: changed, problems, syntax: spec.syntax };
  return (
    <>
      {startPhrase(start)}
      {start.to === undefined ? start.title : <Link to={start.to}>{start.title}</Link>}
      <Answer parts={answerParts(start, work)} />
    </>
  );
}

function formOf(
  spec: SpecText,
  dry: DryRunState,
  schema: Schema,
  errors: readonly FieldProblem[],
): SpecForm {
  const { job, prefix } = jobPart(spec.body);
  const kind = textAt(job, ["kind"]);
  const ofKind = jobSchema(schema, kind) ?? jobSchema(schema, "distillation") ?? schema;
  const resolved = dry.last === undefined ? undefined : resolvedOf(dry.last, kind);
  return {
    job,
    body: spec.body,
    prefix,
    schema: ofKind,
    resolved,
    errors,
    change: (path, value) => {
      const inJob = path.slice(prefix.length);
      const missing = value === undefined ? [] : missingKinds(ofKind, job, resolved, inJob);
      const text = missing.reduce(
        (before, part) => changeText(before, [...prefix, ...part.path], part.kind),
        spec.text,
      );
      spec.setText(changeText(text, path, value));
    },
  };
}

/** The job with all defaults; of a sweep its first one. Of another kind it says nothing. */
function resolvedOf(last: NonNullable<DryRunState["last"]>, kind: string): SpecForm["resolved"] {
  const spec: unknown = last.endpoint === "jobs" ? last.result.spec : last.result.jobs[0]?.spec;
  const resolved = spec as SpecForm["resolved"];
  return valueAt(resolved, ["kind"]) === kind ? resolved : undefined;
}

/** What is pasted then replaces everything. */
function selectAll(area: RefObject<HTMLTextAreaElement | null>): void {
  area.current?.focus();
  area.current?.select();
}
