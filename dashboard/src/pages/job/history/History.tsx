/** Timeline of states and phases, and the attempts of workers. */

import { useQuery } from "@tanstack/react-query";

import type { Job } from "@/api/queries";
import { StatusMark, type Tone } from "@/components/marks/Status";
import type { IconName } from "@/components/marks/Icon";
import { Section } from "@/components/page/Section";
import { QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Duration } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";
import { formatClock, formatExact } from "@/format/times";

import { attemptsQuery, eventsQuery, type Attempt } from "../data";
import styles from "../job.module.css";
import { timelineOf, type Entry } from "./timeline";

export function History({ job }: { job: Job }) {
  const events = useQuery(eventsQuery(job.id));
  const attempt = job.attempt > 0 ? `, attempt ${formatNumber(job.attempt)}` : "";
  return (
    <Section title="Timeline" note={`UTC${attempt}`} span={4}>
      <QueryState query={events}>
        {(data) => <Timeline entries={timelineOf(job, data.events)} />}
      </QueryState>
      {job.attempt > 0 && <Attempts id={job.id} />}
    </Section>
  );
}

function Timeline({ entries }: { entries: readonly Entry[] }) {
  return (
    <ol className={styles.timeline}>
      {entries.map(({ key, at, icon, tone, title, detail }, index) => {
        const day = at.slice(0, 10);
        const isNewDay = index > 0 && day !== entries[index - 1]?.at.slice(0, 10);
        return (
          <li key={key}>
            <time dateTime={at} title={formatExact(new Date(at))}>
              {isNewDay && <span className="sub">{day}</span>}
              {formatClock(new Date(at), true)}
            </time>
            <StatusMark icon={icon} tone={tone}>
              {""}
            </StatusMark>
            <span>
              {title}
              {detail !== undefined && <span className="sub">{detail}</span>}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

const OUTCOMES: Record<NonNullable<Attempt["outcome"]>, [IconName, Tone, string]> = {
  succeeded: ["succeeded", "ok", "Succeeded"],
  failed: ["failed", "bad", "Failed"],
  paused: ["paused", "warn", "Paused"],
  cancelled: ["cancelled", "neutral", "Cancelled"],
  released: ["queued", "neutral", "Released"],
  lost: ["failed", "bad", "Lost"],
};
/** What a word does not say by itself. */
const EXPLANATIONS: Partial<Record<NonNullable<Attempt["outcome"]>, string>> = {
  released: "its worker was shut down",
  lost: "its worker was not heard of any more",
};

const COLUMNS: readonly Column<Attempt>[] = [
  { id: "number", title: "No.", isRowHead: true, cell: ({ number }) => formatNumber(number) },
  {
    id: "worker",
    title: "Worker",
    cell: ({ worker }) => <span className={`mono ${styles.clip ?? ""}`}>{worker ?? ""}</span>,
  },
  {
    id: "ran",
    title: "Ran for",
    kind: "number",
    cell: ({ started_at, ended_at }) => <Duration from={started_at} to={ended_at} />,
  },
  { id: "end", title: "End", cell: (attempt) => <Outcome attempt={attempt} /> },
];

function Attempts({ id }: { id: string }) {
  const attempts = useQuery(attemptsQuery(id));
  return (
    <div className={styles.part}>
      <h3>Attempts</h3>
      <QueryState query={attempts}>
        {({ data }) => (
          <DataTable
            label="Attempts"
            rows={data}
            columns={COLUMNS}
            rowId={({ number }) => String(number)}
          />
        )}
      </QueryState>
    </div>
  );
}

function Outcome({ attempt: { outcome, failure } }: { attempt: Attempt }) {
  if (outcome === null) {
    return (
      <StatusMark icon="running" tone="run">
        Running
      </StatusMark>
    );
  }
  const [icon, tone, word] = OUTCOMES[outcome];
  const detail = failure?.code.replaceAll("_", " ") ?? EXPLANATIONS[outcome];
  return (
    <>
      <StatusMark icon={icon} tone={tone}>
        {word}
      </StatusMark>
      {detail !== undefined && <span className="sub">{detail}</span>}
    </>
  );
}
