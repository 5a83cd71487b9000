/** The tail of the log. It follows until a person scrolls up. */

import { useEffect, useRef, useState } from "react";

import type { Job } from "@/api/queries";
import { ROOT } from "@/api/root";
import { Button } from "@/components/controls/Button";
import { Note, Section } from "@/components/page/Section";
import { Failure } from "@/components/states/QueryState";
import { formatClock } from "@/format/times";

import styles from "../job.module.css";
import { logParts, type LogLine } from "./log_lines";
import { useLog, type Log as LogState } from "./useLog";

/** A last line is rarely at the very bottom: half a line counts. */
const NEAR_PX = 12;

export function Log({ job }: { job: Job }) {
  const log = useLog(job.id, job.terminal ? `${job.status} ${job.attempt}` : "open");
  const [follows, setFollows] = useState(true);
  const whole = `${ROOT}/v1/jobs/${encodeURIComponent(job.id)}/logs?format=text`;
  return (
    <Section
      title="Log"
      note={noteOf(log, follows)}
      more={
        <a href={whole} target="_blank" rel="noreferrer">
          Whole log
        </a>
      }
      span={8}
    >
      {log.error !== undefined && <Failure error={log.error} />}
      {log.lines.length === 0 ? (
        <Note>{log.isOpen ? "No lines yet." : "No log was kept."}</Note>
      ) : (
        <Lines lines={log.lines} follows={follows} onFollow={setFollows} />
      )}
    </Section>
  );
}

function noteOf({ isOpen }: LogState, follows: boolean): string {
  if (!isOpen) return "UTC, newest last";
  return follows ? "UTC, newest last, follows" : "UTC, newest last, does not follow";
}

interface LinesProps {
  lines: readonly LogLine[];
  follows: boolean;
  onFollow: (follows: boolean) => void;
}

function Lines({ lines, follows, onFollow }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (follows && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follows]);
  const scrolled = () => {
    const element = box.current;
    if (element === null) return;
    const below = element.scrollHeight - element.scrollTop - element.clientHeight;
    onFollow(below < NEAR_PX);
  };
  return (
    <>
      {/* A log that scrolls is a stop for the keyboard. It is not announced line by line. */}
      <div
        ref={box}
        className={styles.log}
        role="log"
        aria-live="off"
        aria-label="Log tail"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls
        tabIndex={0}
        onScroll={scrolled}
      >
        {lines.map((line) => (
          <Line key={`${line.attempt} ${line.seq}`} line={line} />
        ))}
      </div>
      {!follows && (
        <p className={styles.followLine}>
          <Button onClick={() => onFollow(true)}>Follow the newest lines</Button>
        </p>
      )}
    </>
  );
}

function Line({ line }: { line: LogLine }) {
  const { at, stream } = line;
  return (
    <div className={stream === "stdout" ? undefined : styles[stream]}>
      <time dateTime={at}>{formatClock(new Date(at), true)}</time>{" "}
      {stream === "supervisor" && <span className="dim">worker: </span>}
      {logParts(line).map(({ text, isStrong }, index) =>
        isStrong ? <b key={index}>{text}</b> : <span key={index}>{text}</span>,
      )}
    </div>
  );
}
