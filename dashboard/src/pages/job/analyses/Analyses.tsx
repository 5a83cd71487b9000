/** What the report's analyses found: per class, by radius, calibration, and single numbers. */

import type { Job } from "@/api/queries";
import { LineChart } from "@/charts";
import { Column, Columns, Note, Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { formatNumber } from "@/format/numbers";
import type { ThreatModel } from "@/format/threat_model";

import type { Report } from "../data";
import { AdversarialExamples } from "./AdversarialExamples";
import { examplesOf } from "./examples";
import { calibrationOf, findingsOf, radiusSweepOf } from "./findings";
import { PerClassSection } from "./PerClass";
import { perClassOf } from "./per_class";

interface AnalysesProps {
  job: Job;
  report: Report;
  threatModel: ThreatModel;
}

const PERCENT: readonly [number, number] = [0, 100];
const oneDecimal = (value: number) => formatNumber(value, 1);

export function Analyses({ job, report, threatModel }: AnalysesProps) {
  const network = job.kind === "evaluation" ? "model" : "best";
  const examples = examplesOf(report, network);
  const perClass = perClassOf(report, network, threatModel, job.deciding);
  const classNames = report.data.description.class_names;
  const hasCharts =
    radiusSweepOf(report, network) !== undefined || calibrationOf(report, network) !== undefined;
  return (
    <>
      {examples !== undefined && (
        <AdversarialExamples job={job} examples={examples} classNames={classNames} />
      )}
      <Columns>
        <Column span={6}>
          {perClass !== undefined && <PerClassSection perClass={perClass} />}
          {hasCharts && <FindingsSection job={job} />}
        </Column>
        <Column span={6}>
          {!hasCharts && <FindingsSection job={job} />}
          <RadiusSection report={report} network={network} radius={threatModel.radius} />
          <CalibrationSection report={report} network={network} />
        </Column>
      </Columns>
    </>
  );
}

interface ChartProps {
  report: Report;
  network: string;
}

function RadiusSection({ report, network, radius }: ChartProps & { radius: number }) {
  const sweep = radiusSweepOf(report, network);
  if (sweep === undefined) return null;
  const first = sweep.rows[0];
  const last = sweep.rows.at(-1);
  const marks = [{ x: radius, label: network === "model" ? "tested at" : "trained for" }];
  return (
    <Section title="Accuracy by radius" note={`PGD-${sweep.steps}, L∞, with 95 % band`}>
      <LineChart
        title="Accuracy"
        unit="%, by radius"
        description={
          `Accuracy by radius: ${oneDecimal(first?.[1] ?? 0)} % at 0, ` +
          `${oneDecimal(last?.[1] ?? 0)} % at ${last?.[0] ?? 0}`
        }
        xLabel="radius"
        series={sweep.series}
        yRange={PERCENT}
        marks={marks}
        format={oneDecimal}
        height={210}
      />
    </Section>
  );
}

function CalibrationSection({ report, network }: ChartProps) {
  const calibration = calibrationOf(report, network);
  if (calibration === undefined) return null;
  return (
    <Section title="Calibration" note="accuracy by confidence, %">
      <LineChart
        title="Accuracy"
        unit="%, by confidence"
        description={`Accuracy by confidence. ${calibration.sentence}`}
        xLabel="confidence"
        series={calibration.series}
        yRange={PERCENT}
        format={oneDecimal}
        height={180}
      />
      <Note>{calibration.sentence}</Note>
    </Section>
  );
}

function FindingsSection({ job }: { job: Job }) {
  const findings = findingsOf(job);
  if (findings.length === 0) return null;
  return (
    <Section title="Further findings">
      <KeyValues facts={findings.map(({ title, value }) => ({ label: title, value }))} />
    </Section>
  );
}
