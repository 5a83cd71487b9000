/** One job: where it is, what happened, what came out, and may it be quoted? */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useParams } from "react-router";

import { jobQuery, modelQuery, type Job, type Model } from "@/api/queries";
import { Deleted } from "@/components/deletion/Deleted";
import { PageItem } from "@/components/page/PageItem";
import { Columns } from "@/components/page/Section";
import { ThreatLine } from "@/components/page/ThreatLine";
import { Loading } from "@/components/states/QueryState";
import { useIsOpening } from "@/components/states/useIsOpening";
import { jobTitle } from "@/format/names";
import { formatNumber } from "@/format/numbers";

import { Analyses } from "./analyses/Analyses";
import { Curves, useCurves } from "./curves/Curves";
import { heldOutOf } from "./curves/series";
import { datasetQuery, reportQuery, type Report } from "./data";
import { FailureNotice } from "./FailureNotice";
import { Figures, Files } from "./files/Files";
import { Settings } from "./files/Settings";
import { Head, type HeadProps } from "./head/Head";
import { Phases } from "./head/Phases";
import { History } from "./history/History";
import { Log } from "./history/Log";
import { ImportResult } from "./ImportResult";
import styles from "./job.module.css";
import { Quoting } from "./results/Quoting";
import { Results } from "./results/Results";
import {
  adversaryTitle,
  attackTitles,
  heldOutImages,
  testImages,
  threatModelOf,
  trainingSpec,
} from "./subject";
import { NotesSection } from "./text/NotesEditor";

const LIST = { label: "Jobs", to: "/jobs" };

export default function JobPage() {
  const { id = "" } = useParams();
  // Another job of the same page begins anew.
  return <JobOfId key={id} id={id} />;
}

function JobOfId({ id }: { id: string }) {
  const [deleted, setDeleted] = useState<Job>();
  const job = useQuery({ ...jobQuery(id), enabled: deleted === undefined });
  if (deleted !== undefined) {
    const name = jobTitle(deleted);
    const onRestored = () => setDeleted(undefined);
    return <Deleted noun="jobs" id={deleted.id} name={name} list={LIST} onRestored={onRestored} />;
  }
  return <PageItem query={job}>{(data) => <JobView job={data} onDeleted={setDeleted} />}</PageItem>;
}

interface JobViewProps {
  job: Job;
  onDeleted: (job: Job) => void;
}

function JobView({ job, onDeleted }: JobViewProps) {
  const teacher = useQuery(modelQuery(job.teacher_id));
  const dataset = useQuery(datasetQuery(job.dataset_id));
  const report = useQuery(reportQuery(job));
  const isOpening = useIsOpening(teacher, dataset, report);
  if (isOpening) return <Loading rows={8} />;
  return (
    <JobSections
      job={job}
      teacher={teacher.data}
      dataset={dataset.data}
      report={report.data}
      onDeleted={onDeleted}
    />
  );
}

function JobSections({ job, teacher, dataset, report, onDeleted }: Omit<HeadProps, "heldOut">) {
  const { curves } = useCurves(job.id);
  const heldOut = heldOutOf(curves.data?.series ?? []);
  const hasBegun = job.started_at !== null;
  const hasCurves = trainingSpec(job) !== undefined && hasBegun;
  const parts = [
    <Outcome key="results" {...{ job, report, teacher }} />,
    hasCurves && <Curves key="curves" job={job} heldOutCount={heldOutImages(job, dataset)} />,
  ];
  // While it runs its curves come first, and what happened; afterwards its results.
  const isPast = job.status === "succeeded" || job.status === "cancelled";
  return (
    <>
      <Head {...{ job, teacher, dataset, report, heldOut, onDeleted }} />
      <Phases job={job} />
      <div className={styles.notices}>
        <FailureNotice job={job} />
      </div>
      <Threat job={job} images={testImages(job, dataset)} />
      {job.terminal ? parts : parts.reverse()}
      {job.kind.startsWith("import_") && <ImportResult job={job} />}
      {job.status === "succeeded" && <Figures job={job} />}
      {!isPast && <Past job={job} />}
      <Columns>
        {hasBegun && !job.kind.startsWith("import_") && <Files job={job} />}
        <Settings job={job} teacher={teacher} />
      </Columns>
      {isPast && <Past job={job} />}
      <NotesSection job={job} />
    </>
  );
}

function Past({ job }: { job: Job }) {
  return (
    <Columns>
      <History job={job} />
      {job.started_at !== null && <Log job={job} />}
    </Columns>
  );
}

interface OutcomeProps {
  job: Job;
  report: Report | undefined;
  teacher: Model | undefined;
}

function Outcome({ job, report, teacher }: OutcomeProps) {
  const threatModel = threatModelOf(job);
  return (
    <>
      <Results job={job} report={report} teacher={teacher} threatModel={threatModel} />
      {report !== undefined && <Quoting job={job} report={report} />}
      {report !== undefined && threatModel !== undefined && (
        <Analyses job={job} report={report} threatModel={threatModel} />
      )}
    </>
  );
}

const TENSES: Partial<Record<Job["status"], string>> = {
  succeeded: "The test used",
  failed: "The test was to use",
  cancelled: "The test was to use",
};

/** The threat model in words, and what training and test use. */
function Threat({ job, images }: { job: Job; images: number | undefined }) {
  const threatModel = threatModelOf(job);
  if (threatModel === undefined) return null;
  const training = trainingSpec(job);
  const used =
    training === undefined
      ? ""
      : `Training uses ${adversaryTitle(training)}, held-out accuracy PGD-10. `;
  const count = images === undefined ? "" : ` on ${formatNumber(images)} images`;
  const attacks = attackTitles(job);
  const tense = TENSES[job.status] ?? "The test will use";
  return (
    <ThreatLine threatModel={threatModel}>
      The attacker knows the weights and only wants a wrong class. {used}
      {attacks !== "" && `${tense} ${attacks}${count}.`}
    </ThreatLine>
  );
}
