/** The YAML, the same as requests, what it costs, and the button. */

import { useState, type RefObject } from "react";

import { ROOT } from "@/api/root";
import { Tabs } from "@/components/controls/Tabs";

import type { DryRunState } from "./cost/dry_run";
import { Estimate } from "./cost/Estimate";
import { uniqueFields } from "./sentences";
import type { Start } from "./start/start";
import { SubmitRow } from "./SubmitRow";
import styles from "./submit.module.css";
import type { SpecText } from "./useSpecText";
import { lineOf } from "./yaml/document";
import { CodeBlock, Editor, type LineMark } from "./yaml/Editor";
import { curlLine, pythonLines } from "./yaml/requests";

interface SidePaneProps {
  spec: SpecText;
  start: Start;
  dry: DryRunState;
  isChanged: readonly boolean[];
  area: RefObject<HTMLTextAreaElement | null>;
}

export function SidePane({ spec, start, dry, isChanged, area }: SidePaneProps) {
  const [tab, setTab] = useState("yaml");
  const service = `${globalThis.location.origin}${ROOT}`;
  const texts: Record<string, string> = {
    yaml: spec.text,
    curl: curlLine(spec.body, service),
    python: pythonLines(spec.body, service),
  };
  const problem = spec.syntax?.message ?? dry.problem?.message;
  const marks = marksOf(spec, dry, isChanged);
  const editor = (
    <Editor text={spec.text} onChange={spec.setText} marks={marks} problem={problem} area={area} />
  );
  return (
    <div className={styles.pane}>
      <Tabs
        label="The same job as"
        selected={tab}
        onSelect={setTab}
        more={<CopyButton text={texts[tab] ?? ""} />}
        items={[
          { id: "yaml", title: "YAML", content: editor },
          { id: "curl", title: "curl", content: code(texts.curl, "The request by curl") },
          { id: "python", title: "Python", content: code(texts.python, "The request in Python") },
        ]}
      />
      {spec.syntax !== undefined && (
        <p className={styles.wrong}>
          Line {spec.syntax.line}: {spec.syntax.message}
        </p>
      )}
      <Estimate dryRun={dry.last} isOld={!dry.isValid} />
      <SubmitRow spec={spec} start={start} dry={dry} area={area} />
    </div>
  );
}

function code(text: string | undefined, label: string) {
  return <CodeBlock text={text ?? ""} label={label} />;
}

function marksOf(
  { text, syntax }: SpecText,
  { problem }: DryRunState,
  isChanged: readonly boolean[],
): ReadonlyMap<number, LineMark> {
  const marks = new Map<number, LineMark>();
  isChanged.forEach((changed, index) => {
    if (changed) marks.set(index + 1, "changed");
  });
  if (syntax !== undefined) return marks.set(syntax.line, "wrong");
  for (const { path } of uniqueFields(problem?.errors ?? [])) {
    const line = lineOf(text, path);
    if (line !== undefined) marks.set(line, "wrong");
  }
  return marks;
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState<string>();
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(text);
  };
  return (
    <button type="button" className={styles.copy} onClick={() => void copy()}>
      <span role="status">{copied === text ? "Copied" : "Copy"}</span>
    </button>
  );
}
