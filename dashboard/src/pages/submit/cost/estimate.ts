/** What a job will cost, in figures and words: pure functions of a dry run. */

import { formatNumber, plural } from "@/format/numbers";
import { formatDuration } from "@/format/times";

import type { DryRun } from "./dry_run";

export interface Figure {
  label: string;
  value: string;
  detail: string;
}

type Estimate = DryRun["result"]["estimate"];
type Time = Estimate["time"][number];
type Memory = Estimate["memory"];

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const NO_BREAK = "\u00a0";

/** Time, memory, steps or jobs, passes, place in line. */
export function figuresOf({ endpoint, result }: DryRun): Figure[] {
  const { estimate } = result;
  const passes = endpoint === "jobs" ? result.estimate.network_passes : result.network_passes;
  return [
    timeFigure(estimate.time),
    memoryFigure(estimate.memory),
    ...(endpoint === "jobs" ? stepsFigure(result.estimate) : jobsFigure(result.jobs)),
    { label: "Passes", value: formatNumber(passes), detail: "of a network" },
    {
      label: "Starts",
      value: ordinal(estimate.queue.position),
      detail: `in line, ${plural(estimate.queue.workers, "worker")}`,
    },
  ];
}

/** On the fastest device that is known; all of them are said in `timeSentences`. */
function timeFigure(times: readonly Time[]): Figure {
  const known = times.filter(({ seconds }) => seconds !== null);
  const [best] = known.sort((a, b) => (a.seconds ?? 0) - (b.seconds ?? 0));
  if (best?.seconds == null) {
    const detail = times.length === 0 ? "no worker is there" : "no finished job yet";
    return { label: "Time", value: "unknown", detail };
  }
  const { low, high, n, seconds } = best;
  const range = low === null || high === null ? "" : `${formatRange(low, high)}, `;
  return {
    label: "Time",
    value: `≈${NO_BREAK}${formatDuration(seconds)}`,
    detail: `${range}${plural(n, "finished job")} so far`,
  };
}

/** "21–32 s", "9 min – 12 min". */
export function formatRange(low: number, high: number): string {
  const [from, to] = [formatDuration(low), formatDuration(high)];
  const [fromUnit, toUnit] = [from, to].map((text) => text.replace(/^[\d.]+/, ""));
  if (from === to) return to;
  return fromUnit === toUnit
    ? `${from.slice(0, -(fromUnit ?? "").length)}–${to}`
    : `${from} – ${to}`;
}

function memoryFigure(memory: Memory): Figure {
  const label = "Memory";
  if (memory.status === "pending") return { label, value: "…", detail: "being worked out" };
  if (memory.bytes == null) return { label, value: "unknown", detail: "cannot be worked out" };
  return { label, value: formatMemory(memory.bytes), detail: fitDetail(memory.fits ?? null) };
}

/** In GiB; below 0.1 GiB in MiB. */
export function formatMemory(bytes: number): string {
  if (bytes >= 0.1 * GIB) return `${formatNumber(bytes / GIB, 1)}${NO_BREAK}GiB`;
  return `${formatNumber(Math.max(1, bytes / MIB))}${NO_BREAK}MiB`;
}

function fitDetail(fits: readonly string[] | null): string {
  if (fits === null) return "of the device";
  if (fits.length === 0) return "fits no worker";
  return fits.length === 1 ? `fits ${fits[0] ?? ""}` : `fits ${fits.length} workers`;
}

interface Steps {
  steps?: number | null;
  steps_per_epoch?: number | null;
}

function stepsFigure({ steps, steps_per_epoch: perEpoch }: Steps): Figure[] {
  if (steps == null || perEpoch == null) return [];
  return [
    { label: "Steps", value: formatNumber(steps), detail: `${formatNumber(perEpoch)} per epoch` },
  ];
}

function jobsFigure(jobs: readonly { line: string }[]): Figure[] {
  const lines = new Set(jobs.map(({ line }) => line)).size;
  const detail = `${plural(lines, "line")} of the table`;
  return [{ label: "Jobs", value: formatNumber(jobs.length), detail }];
}

/** Where live workers have several kinds of devices: the service's sentence on each. */
export function timeSentences({ result }: DryRun): string[] {
  const { time } = result.estimate;
  return time.length < 2 ? [] : time.map(({ sentence }) => sentence);
}

/** "1st", "2nd", "3rd", "11th". */
export function ordinal(position: number): string {
  const tens = position % 100;
  const isTeen = tens >= 11 && tens <= 13;
  const ending = isTeen ? "th" : (["th", "st", "nd", "rd"][position % 10] ?? "th");
  return `${formatNumber(position)}${ending}`;
}
