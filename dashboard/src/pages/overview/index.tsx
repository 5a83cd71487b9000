/** Overview: is everything running? What failed, and whose fault is it? */

import { useNow } from "@/app/clock";
import { LinkButton } from "@/components/controls/Button";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { Column, Columns, Section } from "@/components/page/Section";
import { Tally } from "@/components/page/Tally";
import { Empty, Failure, Loading } from "@/components/states/QueryState";

import { countOf, RUNNING, useOverview, useReadAhead, type Overview } from "./data";
import { FailedJobs } from "./FailedJobs";
import { Finished } from "./Finished";
import { Queue } from "./Queue";
import { RunningJobs } from "./RunningJobs";
import { answer, lastDay, type Snapshot } from "./summary";
import { Storage } from "./Storage";
import { Sweeps } from "./Sweeps";
import { tallyItems } from "./tally";
import { Workers } from "./Workers";

export default function OverviewPage() {
  const overview = useOverview();
  useReadAhead();
  const now = useNow();
  const isLoading = Object.values(overview).some((query) => query.isPending);
  const broken = Object.values(overview).find((query) => query.isError);
  const snapshot = snapshotOf(overview, now);
  return (
    <>
      <PageHead
        title="Overview"
        answer={isLoading ? "\u00a0" : <Answer parts={answer(snapshot)} />}
      />
      {broken?.error != null && (
        <Failure error={broken.error} onRetry={() => void broken.refetch()} />
      )}
      {isLoading ? <Loading rows={8} /> : <Sections overview={overview} snapshot={snapshot} />}
    </>
  );
}

function Sections({ overview, snapshot }: { overview: Overview; snapshot: Snapshot }) {
  const { workers, running, runningTotal, queued, queuedTotal, failed } = snapshot;
  const succeeded = lastDay(overview.succeeded.data?.data ?? [], snapshot.now);
  const pausedTotal = countOf(overview, "paused");
  const isNew =
    runningTotal + queuedTotal + pausedTotal + failed.length === 0 &&
    overview.succeeded.data?.data.length === 0;
  return (
    <>
      <Tally items={tallyItems(snapshot, succeeded, pausedTotal)} />
      {isNew ? (
        <Section title="Jobs">
          <Empty action={<LinkButton to="/submit">Start from an example</LinkButton>}>
            No jobs yet. The digits example takes half a minute.
          </Empty>
        </Section>
      ) : (
        <>
          <RunningJobs jobs={running} total={runningTotal} />
          <Columns>
            <FailedJobs jobs={failed} />
            <Queue jobs={queued} total={queuedTotal} />
          </Columns>
        </>
      )}
      <Workers workers={workers} running={running} />
      <Columns>
        <Finished jobs={succeeded} />
        <Column span={5}>
          <Sweeps sweeps={overview.sweeps.data?.data ?? []} />
          <Storage />
        </Column>
      </Columns>
    </>
  );
}

function snapshotOf(overview: Overview, now: Date): Snapshot {
  return {
    now,
    workers: overview.workers.data?.data ?? [],
    running: overview.running.data?.data ?? [],
    runningTotal: countOf(overview, ...RUNNING),
    queued: overview.queued.data?.data ?? [],
    queuedTotal: countOf(overview, "queued"),
    failed: lastDay(overview.failed.data?.data ?? [], now),
  };
}
