import { useMutation } from "@tanstack/react-query";
import type { ReactNode, RefObject } from "react";
import { useNavigate } from "react-router";

import { useScope } from "@/api/session";
import { Button } from "@/components/controls/Button";
import { Failure } from "@/components/states/QueryState";

import type { DryRunState } from "./cost/dry_run";
import { estimateNote, namedFields, uniqueFields, type WrongField } from "./sentences";
import { submitBody } from "./submission";
import type { Path } from "./spec/values";
import type { Start } from "./start/start";
import styles from "./submit.module.css";
import type { SpecText } from "./useSpecText";
import { isSweep, lineOf } from "./yaml/document";

/** Fields that are named before the button; further ones are counted. */
const MOST_NAMED = 3;

interface SubmitRowProps {
  spec: SpecText;
  start: Start;
  dry: DryRunState;
  area: RefObject<HTMLTextAreaElement | null>;
}

export function SubmitRow({ spec, start, dry, area }: SubmitRowProps) {
  const navigate = useNavigate();
  const maySubmit = useScope("submit");
  const submission = useMutation({
    mutationFn: () => submitBody(spec.body, start),
    onSuccess: (address) => {
      spec.forget();
      void navigate(address);
    },
  });
  const isReady = maySubmit && spec.syntax === undefined && dry.isValid && !submission.isPending;
  const unnamed = dry.problem?.errors.length === 0 ? dry.problem : undefined;
  return (
    <>
      {unnamed !== undefined && <Failure error={unnamed} />}
      {submission.error !== null && <Failure error={submission.error} />}
      <div className={styles.submitRow}>
        <Button
          kind="primary"
          disabled={!isReady}
          aria-describedby="submit-note"
          onClick={() => submission.mutate()}
        >
          {isSweep(spec.body) ? "Submit sweep" : "Submit"}
        </Button>
        <p id="submit-note" className={styles.note} role="status">
          {noteOf({ spec, start, dry, area }, maySubmit)}
        </p>
      </div>
    </>
  );
}

function noteOf({ spec, dry, area }: SubmitRowProps, maySubmit: boolean): ReactNode {
  if (!maySubmit) return "Your key lacks the scope submit: it can look, not submit.";
  if (spec.syntax !== undefined) return `Correct line ${spec.syntax.line} of the YAML first.`;
  const fields = uniqueFields(dry.problem?.errors ?? []);
  if (fields.length === 0) return null;
  const jump = (path: Path) => focusField(path) || focusLine(area, lineOf(spec.text, path) ?? 1);
  return <Corrections fields={fields} jump={jump} hasEstimate={dry.last !== undefined} />;
}

interface CorrectionsProps {
  fields: readonly WrongField[];
  jump: (path: Path) => void;
  hasEstimate: boolean;
}

function Corrections({ fields, jump, hasEstimate }: CorrectionsProps) {
  const named = fields.slice(0, MOST_NAMED);
  const more = fields.length - named.length;
  return (
    <>
      Correct{" "}
      {named.map(({ path, label }, index) => (
        <span key={path.join(".")}>
          {index > 0 && (index === named.length - 1 && more === 0 ? " and " : ", ")}
          <button type="button" className={styles.jump} onClick={() => jump(path)}>
            {label}
          </button>
        </span>
      ))}
      {more > 0 && ` and ${namedFields([`${more} more`])}`}
      {estimateNote(hasEstimate)}
    </>
  );
}

/** Moves the focus to the input of a field, or of what it is a part of. */
function focusField(path: Path): boolean {
  for (let length = path.length; length > 0; length -= 1) {
    const id = CSS.escape(path.slice(0, length).join("."));
    const input = document.querySelector<HTMLElement>(`[data-field="${id}"]`);
    if (input === null) continue;
    for (
      let part = input.closest("details");
      part;
      part = part.parentElement?.closest("details") ?? null
    ) {
      part.open = true;
    }
    input.focus();
    return true;
  }
  return false;
}

function focusLine(area: RefObject<HTMLTextAreaElement | null>, line: number): void {
  const element = area.current;
  if (element === null) return;
  const lines = element.value.split("\n");
  const from = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  element.focus();
  element.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
}
