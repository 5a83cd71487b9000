/** Compare: is the difference real, and which setting made it? */

import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import { useAddress, type SetParameter } from "@/app/address";
import { Button, LinkButton } from "@/components/controls/Button";
import { Segmented } from "@/components/controls/Segmented";
import { Answer } from "@/components/page/answer";
import { PageItem } from "@/components/page/PageItem";
import { PageHead } from "@/components/page/PageHead";
import { Section } from "@/components/page/Section";
import { Empty } from "@/components/states/QueryState";
import { formatNumber, plural } from "@/format/numbers";

import { readView, type Grouping, type View } from "./address";
import { Curves } from "./charts/Curves";
import { areComparable, comparisonQuery, curvesQuery, MOST_JOBS } from "./data";
import type { Hover } from "./hover";
import { chosenGrouping, possibleGroupings, runsOf, type Comparison } from "./runs";
import { answer, bestRow, labelMap } from "./sentences";
import { Settings } from "./Settings";
import { ThreatSection } from "./ThreatSection";

const PATH = [{ label: "Jobs", to: "/jobs" }];

export default function ComparePage() {
  const { parameters, set } = useAddress();
  const view = readView(parameters);
  const comparison = useQuery(comparisonQuery(view));
  // Together with the comparison, not only when its section is there.
  useQuery(curvesQuery(view.ids));
  if (!areComparable(view.ids)) return <Nothing count={view.ids.length} />;
  return (
    <PageItem query={comparison}>
      {(data) => <Compared comparison={data} view={view} onChange={set} />}
    </PageItem>
  );
}

function Nothing({ count }: { count: number }) {
  return (
    <>
      <PageHead title="Compare" path={PATH} here="Compare" />
      <Section title={count > MOST_JOBS ? "Too many jobs" : "No jobs selected"}>
        <Empty action={<LinkButton to="/jobs?status=succeeded">Select jobs</LinkButton>}>
          {count > MOST_JOBS
            ? `At most ${MOST_JOBS} jobs can be compared at once, not ${formatNumber(count)}.`
            : "Nothing to compare yet. Tick two jobs or more in the list of jobs, then press Compare at its bottom."}
        </Empty>
      </Section>
    </>
  );
}

interface ComparedProps {
  comparison: Comparison;
  view: View;
  onChange: SetParameter;
}

function Compared({ comparison, view, onChange }: ComparedProps) {
  const { jobs, base, sections } = comparison;
  const grouping = chosenGrouping(jobs, view.group);
  const pinKey = pinsOf(comparison, view).join(",");
  const [hovered, setHovered] = useState<string>();
  const runs = useMemo(
    () => runsOf(comparison, grouping, pinKey.split(",")),
    [comparison, grouping, pinKey],
  );
  const labels = useMemo(() => labelMap(runs), [runs]);
  const hover: Hover = { id: hovered, set: setHovered };
  const settings = (
    <Settings settings={comparison.settings} runs={runs} view={view} onChange={onChange} />
  );
  return (
    <>
      <PageHead
        title={`Compare ${plural(jobs.length, "run")}`}
        path={PATH}
        here="Compare"
        answer={<Answer parts={answer(sections[0], base, labels)} />}
        actions={<Actions jobs={jobs} grouping={grouping} view={view} onChange={onChange} />}
      />
      {sections.map((section, index) => (
        <ThreatSection
          key={`${section.dataset_id ?? ""} ${section.deciding}`}
          {...{ section, comparison, runs, view, hover, onChange }}
          curves={index === 0 && <Curves comparison={comparison} runs={runs} hover={hover} />}
          settings={sections.length === 1 && settings}
        />
      ))}
      {sections.length === 0 && <Curves comparison={comparison} runs={runs} hover={hover} />}
      {sections.length !== 1 && settings}
    </>
  );
}

/** Where there are more runs than colors: those of the address, else the best and the base. */
function pinsOf({ sections, base }: Comparison, { pins }: View): readonly string[] {
  if (pins !== undefined) return pins;
  const [first] = sections;
  const best = first === undefined ? undefined : bestRow(first)?.job_id;
  return best === undefined || best === base ? [base] : [best, base];
}

const GROUPINGS: Record<Grouping, string> = {
  none: "Runs",
  method: "By method",
  line: "By sweep line",
};

interface ActionsProps {
  jobs: Comparison["jobs"];
  grouping: Grouping;
  view: View;
  onChange: SetParameter;
}

function Actions({ jobs, grouping, view, onChange }: ActionsProps) {
  const groupings: Grouping[] = ["none", ...possibleGroupings(jobs)];
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    // Only a secure context has a clipboard: elsewhere the address bar has the link.
    await (navigator.clipboard as Clipboard | undefined)?.writeText(location.href);
    setCopied(true);
  };
  return (
    <>
      {groupings.length > 1 && (
        <Segmented
          label="Group"
          value={grouping}
          options={groupings.map((value) => ({ value, label: GROUPINGS[value] }))}
          onChange={(value) => onChange("group", value)}
        />
      )}
      <Segmented
        label="Which student"
        value={view.network}
        options={[
          { value: "best", label: "Best epoch" },
          { value: "last", label: "Last epoch" },
        ]}
        onChange={(value) => onChange("network", value === "best" ? undefined : value)}
      />
      {"clipboard" in navigator && (
        <Button onClick={() => void copy()}>{isCopied ? "Copied" : "Copy link"}</Button>
      )}
    </>
  );
}
