/** All that was measured on one data set under one threat model. */

import type { ReactNode } from "react";

import type { SetParameter } from "@/app/address";
import { Columns, Section } from "@/components/page/Section";
import { ThreatLine } from "@/components/page/ThreatLine";

import type { View } from "./address";
import { Parallel } from "./charts/Parallel";
import { Scatter } from "./charts/Scatter";
import { GroupTable } from "./GroupTable";
import type { Hover } from "./hover";
import { PerClass } from "./PerClass";
import { ResultsTable } from "./ResultsTable";
import { groupsOf, type Comparison, type Run, type Section as Tested } from "./runs";
import { testSentence } from "./sentences";

export interface ThreatSectionProps {
  section: Tested;
  comparison: Comparison;
  runs: readonly Run[];
  view: View;
  hover: Hover;
  onChange: SetParameter;
  /** Beside the scatter of the first section. */
  curves: ReactNode;
  /** What differs between the runs: after the results, where these are all in one section. */
  settings: ReactNode;
}

export function ThreatSection(props: ThreatSectionProps) {
  const { section, comparison, runs, hover, curves, settings } = props;
  const groups = groupsOf(runs);
  const several = comparison.sections.length > 1;
  return (
    <>
      <Threat section={section} several={several} />
      {groups.length > 0 && <GroupTable section={section} groups={groups} />}
      <ResultsTable {...props} />
      <Columns>
        {curves}
        <Scatter section={section} runs={runs} groups={groups} hover={hover} />
      </Columns>
      {settings}
      <Parallel section={section} comparison={comparison} runs={runs} hover={hover} />
      <PerClass {...props} />
    </>
  );
}

function Threat({ section, several }: { section: Tested; several: boolean }) {
  const { threat_model: threat } = section;
  if (threat === null) {
    return (
      <Section title="Without an attack">
        <p className="small dim">{testSentence(section)} These runs were tested under no attack.</p>
      </Section>
    );
  }
  const others = several
    ? "Runs under another threat model or on other data stand in a table of their own."
    : "All runs that were tested have one threat model.";
  return (
    <ThreatLine threatModel={threat}>
      The attacker knows the weights and only wants a wrong class. {testSentence(section)} {others}
    </ThreatLine>
  );
}
