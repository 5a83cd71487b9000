/** Sentences of the page, and states of keys: pure functions of what REST returned. */

import type { Worker } from "@/api/queries";
import type { Scope } from "@/api/session";
import { strong, type AnswerPart } from "@/components/page/answer";
import { enumerate, plural } from "@/format/numbers";
import { secondsBetween } from "@/format/times";

import type { Key } from "./data";

const DAY = 86_400;
/** A key that ends within this many days needs a successor. */
const SOON_DAYS = 14;

export type KeyState = "usable" | "ending" | "expired" | "revoked";

export function keyState(key: Pick<Key, "expires_at" | "revoked_at">, now: Date): KeyState {
  if (key.revoked_at !== null) return "revoked";
  if (key.expires_at === null) return "usable";
  const seconds = -secondsBetween(key.expires_at, now);
  if (seconds <= 0) return "expired";
  return seconds <= SOON_DAYS * DAY ? "ending" : "usable";
}

/** "expires in 3 days". */
export function expiryNote(key: Pick<Key, "expires_at">, now: Date): string {
  if (key.expires_at === null) return "never expires";
  const days = Math.max(1, Math.ceil(-secondsBetween(key.expires_at, now) / DAY));
  return `expires in ${plural(days, "day")}`;
}

interface Snapshot {
  now: Date;
  /** Undefined where the signed-in key may not read them. */
  workers: readonly Worker[] | undefined;
  keys: readonly Key[] | undefined;
  isReady: boolean | undefined;
}

/** "Database and object store respond. 2 workers claim jobs, 1 worker is draining. 3 keys can …". */
export function answer({ now, workers, keys, isReady }: Snapshot): AnswerPart[] {
  const parts: AnswerPart[] = [];
  if (isReady === true) parts.push("Database and object store respond. ");
  if (isReady === false) parts.push(strong("The service is not ready. "));
  if (workers !== undefined) parts.push(...workersAnswer(workers));
  if (keys !== undefined) parts.push(...keysAnswer(keys, now));
  return parts;
}

function workersAnswer(workers: readonly Worker[]): AnswerPart[] {
  const alive = workers.filter((worker) => worker.alive);
  const draining = alive.filter((worker) => worker.draining).length;
  const troubled = alive.filter((worker) => !worker.draining && worker.trouble !== null).length;
  const lost = workers.length - alive.length;
  const claiming = alive.length - draining - troubled;
  if (claiming === 0) {
    const reasons = counted([
      [draining, "draining"],
      [troubled, "in trouble"],
      [lost, "lost"],
    ]);
    return [strong("No worker claims jobs"), reasons === "" ? ". " : `: ${reasons}. `];
  }
  const others = counted([
    [draining, "draining"],
    [troubled, "in trouble"],
    [lost, "lost"],
  ]);
  const verb = claiming === 1 ? "claims" : "claim";
  const head = strong(`${plural(claiming, "worker")} ${verb} jobs`);
  return [head, others === "" ? ". " : `; ${others}. `];
}

/** "1 is draining and 2 are lost". */
function counted(counts: readonly [number, string][]): string {
  const present = counts.filter(([count]) => count > 0);
  return enumerate(
    present.map(([count, state]) => `${count} ${count === 1 ? "is" : "are"} ${state}`),
  );
}

function keysAnswer(keys: readonly Key[], now: Date): AnswerPart[] {
  const states = keys.map((key) => keyState(key, now));
  const usable = states.filter((state) => state === "usable" || state === "ending").length;
  const ending = states.filter((state) => state === "ending").length;
  const tail =
    ending === 0 ? "." : `, ${ending} of them ${ending === 1 ? "ends" : "end"} within two weeks.`;
  return [strong(plural(usable, "key")), ` can be used${tail}`];
}

/** What a scope allows, below its check box. */
export const SCOPES: readonly { scope: Scope; sentence: string }[] = [
  { scope: "read", sentence: "Sees jobs, models, data sets, and their files." },
  { scope: "submit", sentence: "Submits, pauses, cancels and deletes; uploads." },
  { scope: "admin", sentence: "Manages the project's keys, and reads its audit log." },
  { scope: "operator", sentence: "Manages workers and projects of the whole installation." },
];

/** One sentence on what the signed-in key may not see; undefined where it sees everything. */
export function hiddenSections(scopes: readonly Scope[]): string | undefined {
  const hidden = [
    ...(scopes.includes("operator") ? [] : ["workers and projects are for the scope operator"]),
    ...(scopes.includes("admin") ? [] : ["keys and the audit log for the scope admin"]),
  ];
  if (hidden.length === 0) return undefined;
  const sentence = hidden.join(", ");
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}; your key has ${enumerate(scopes)}.`;
}

export const PERIODS = [
  { id: "hour", label: "the last hour", seconds: 3600 },
  { id: "day", label: "the last day", seconds: DAY },
  { id: "week", label: "the last week", seconds: 7 * DAY },
  { id: "", label: "all time", seconds: undefined },
] as const;

/** The beginning of a period before `now`, as REST takes it; undefined for all time. */
export function sinceOf(period: string, now: number): string | undefined {
  const seconds = PERIODS.find(({ id }) => id === period)?.seconds;
  return seconds === undefined ? undefined : new Date(now - 1000 * seconds).toISOString();
}
