/** Reads the tail of a job's log, and follows it while the job goes on. No polling. */

import { useEffect, useState } from "react";

import { EventStreamParser } from "@/api/live/event_stream";
import { problemOf, type ApiProblem } from "@/api/problem";
import { ROOT } from "@/api/root";

import { append, type LogLine } from "./log_lines";

const TAIL = 300;
/** Before a stream that has broken is read again. */
const RETRY_MS = 3000;
/** Lines often come in bursts: they are drawn together. */
const DRAW_MS = 100;

export interface Log {
  lines: readonly LogLine[];
  isOpen: boolean;
  error: ApiProblem | undefined;
}

/** `version` changes when a log that has ended may have more: a job that is tried again. */
export function useLog(id: string, version: string): Log {
  const [log, setLog] = useState<Log>({ lines: [], isOpen: true, error: undefined });
  useEffect(() => {
    const abort = new AbortController();
    let pending: LogLine[] = [];
    const draw = () => {
      if (pending.length === 0) return;
      const lines = pending;
      pending = [];
      setLog((old) => ({ lines: append(old.lines, lines), isOpen: true, error: undefined }));
    };
    const timer = setInterval(draw, DRAW_MS);
    const onLine = (line: LogLine) => pending.push(line);
    void follow(id, abort.signal, onLine).then((error) => {
      draw();
      clearInterval(timer);
      if (!abort.signal.aborted) setLog((old) => ({ ...old, isOpen: false, error }));
    });
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [id, version]);
  return log;
}

/** Ends with the stream's end, or with a problem that trying again does not mend. */
async function follow(
  id: string,
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<ApiProblem | undefined> {
  for (;;) {
    try {
      const response = await open(id, signal);
      if (!response.ok) {
        const problem = await problemOf(response);
        if (problem.status < 500) return problem;
      } else if (await read(response, onLine)) return undefined;
    } catch {
      if (isAborted(signal)) return undefined;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    if (isAborted(signal)) return undefined;
  }
}

/** Asked anew after each wait. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

function open(id: string, signal: AbortSignal): Promise<Response> {
  const path = `${ROOT}/v1/jobs/${encodeURIComponent(id)}/logs?tail=${TAIL}`;
  const headers = { Accept: "text/event-stream" };
  return fetch(path, { headers, signal, credentials: "same-origin" });
}

/** Returns whether the stream has said that it is at its end. */
async function read(response: Response, onLine: (line: LogLine) => void): Promise<boolean> {
  const parser = new EventStreamParser();
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return true;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    for (const message of parser.push(value)) {
      if (message.event === "line") onLine(JSON.parse(message.data) as LogLine);
      if (message.event === "end") return true;
    }
  }
}
