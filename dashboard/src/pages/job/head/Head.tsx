/** Path, title, status, actions, the answer line, facts. */

import { Link } from "react-router";

import type { Dataset, Job, Model } from "@/api/queries";
import { useNow } from "@/app/clock";
import { Answer } from "@/components/page/answer";
import { PageHead, type Fact } from "@/components/page/PageHead";
import { Status } from "@/components/marks/Status";
import { Id } from "@/components/text/Id";
import { Duration, Time } from "@/components/text/Time";
import { jobTitle, kindTitle, methodTitle } from "@/format/names";
import { formatNumber } from "@/format/numbers";
import { formatDuration } from "@/format/times";

import type { Report } from "../data";
import { answer, type HeldOut } from "../sentences";
import { evaluationSpec, networkTitle, threatModelOf, trainingSpec } from "../subject";
import { Actions } from "./Actions";

export interface HeadProps {
  job: Job;
  teacher: Model | undefined;
  dataset: Dataset | undefined;
  report: Report | undefined;
  heldOut: HeldOut | undefined;
  onDeleted: (job: Job) => void;
}

export function Head(props: HeadProps) {
  const { job, report, teacher, heldOut, onDeleted } = props;
  const now = useNow();
  const parts = answer({
    job,
    now,
    heldOut,
    threatModel: threatModelOf(job),
    parameters: report?.network.parameters,
    teacherParameters:
      job.kind === "distillation"
        ? (report?.reference?.parameters ?? teacher?.parameters ?? undefined)
        : undefined,
  });
  return (
    <PageHead
      title={jobTitle(job)}
      path={[{ label: "Jobs", to: "/jobs" }]}
      here={<Id id={job.id} />}
      status={<Status status={job.status} pill />}
      actions={<Actions job={job} onDeleted={onDeleted} />}
      answer={<Answer parts={parts} />}
      facts={factsOf(props)}
    />
  );
}

function factsOf(props: HeadProps): Fact[] {
  const { job, report } = props;
  const facts: (Fact | undefined)[] = [
    job.method === null
      ? { label: "Kind", value: kindTitle(job.kind) }
      : { label: "Method", value: methodTitle(job.method) },
    ...networkFacts(props),
    dataFact(props),
    bestEpochFact(report),
    tookFact(job, report),
    job.worker === null || job.terminal
      ? undefined
      : { label: "Worker", value: <span className="mono">{job.worker}</span> },
    "seed" in job.spec ? { label: "Seed", value: formatNumber(job.spec.seed) } : undefined,
    job.sweep_id === null
      ? undefined
      : { label: "Sweep", value: <Link to={`/sweeps/${job.sweep_id}`}>{job.sweep_line}</Link> },
    { label: "Submitted", value: <Time at={job.created_at} /> },
  ];
  return facts.filter((fact) => fact !== undefined);
}

function networkFacts({ job, teacher }: HeadProps): Fact[] {
  const training = trainingSpec(job);
  const evaluation = evaluationSpec(job);
  const facts: Fact[] = [];
  if (training !== undefined) {
    facts.push({ label: "Student", value: networkTitle(training.student) });
  }
  if (job.teacher_id !== null && training !== undefined) {
    const name = teacher?.name ?? ("teacher" in training ? training.teacher : job.teacher_id);
    facts.push({ label: "Teacher", value: <Link to={`/models/${job.teacher_id}`}>{name}</Link> });
  }
  if (evaluation !== undefined) {
    facts.push({ label: "Model", value: evaluation.model });
    if (evaluation.reference !== null) {
      facts.push({ label: "Reference", value: evaluation.reference });
    }
  }
  return facts;
}

function dataFact({ job, dataset }: HeadProps): Fact | undefined {
  if (job.dataset_id === null) return undefined;
  const name = dataset?.name ?? job.dataset ?? job.dataset_id;
  return { label: "Data", value: <Link to={`/datasets/${job.dataset_id}`}>{name}</Link> };
}

function bestEpochFact(report: Report | undefined): Fact | undefined {
  const best = report?.network.best_epoch;
  if (best == null || report === undefined) return undefined;
  return { label: "Best epoch", value: `${best} of ${report.history.length}` };
}

/** "31 s (training 6 s)". */
function tookFact(job: Job, report: Report | undefined): Fact | undefined {
  const { started_at: start, finished_at: end } = job;
  if (start === null) return undefined;
  const training = report?.seconds.training;
  return {
    label: end === null ? "Runs for" : "Took",
    value: (
      <>
        <Duration from={start} to={end} />
        {training !== undefined && ` (training ${formatDuration(training)})`}
      </>
    ),
  };
}
