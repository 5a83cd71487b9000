/**
 * Turns events into queries to be fetched again. However many events come, one thing is fetched at
 * most once a second, and what changes all the time while a job runs at most every three seconds.
 */

import {
  matchQuery,
  type InvalidateQueryFilters,
  type Query,
  type QueryClient,
} from "@tanstack/react-query";

import { DELETION } from "../deleted";
import { COUNTED, queryKeys, type Noun } from "../query_keys";
import type { LiveEvent } from "./live_connection";

export const INTERVAL_MS = 1000;
/** Of changes that come all the time while a job runs. */
export const STEADY_INTERVAL_MS = 3000;
/** A change often comes as several events: wait for the others. */
const BURST_MS = 50;

const NOUNS: Record<LiveEvent["type"], Noun> = {
  job: "jobs",
  sweep: "sweeps",
  model: "models",
  dataset: "datasets",
  worker: "workers",
};
/** Changes of a job that leave its status as it was. */
const WITHIN_STATUS = new Set(["progress", "changed", "phase", "results"]);

/** What is out of date: queries that are fetched together, at most once in an interval. */
export interface Outdated {
  name: string;
  /** Of several with one name and part, one is enough; those of other parts are added. */
  part?: string;
  filters: InvalidateQueryFilters;
  interval: number;
}

export const EVERYTHING: readonly Outdated[] = [
  { name: "everything", filters: {}, interval: INTERVAL_MS },
];

type Change = Pick<LiveEvent, "type" | "id" | "change" | "data">;

/** Returns what an event makes out of date: lists of its noun, and all of its item. */
export function outdatedBy(event: Change): Outdated[] {
  const noun = NOUNS[event.type] as Noun | undefined;
  if (noun === undefined) return []; // of a newer service
  const { id, change, data } = event;
  if (noun === "jobs" && change === "progress") return [curvesOf(id)];
  const isSteady = change === "changed";
  const interval = isSteady ? STEADY_INTERVAL_MS : INTERVAL_MS;
  const item = {
    name: `${noun} ${id}, ${interval} ms`,
    filters: { queryKey: queryKeys.item(noun, id) },
    interval,
  };
  const list = queryKeys.list(noun);
  const status = data?.status;
  if (noun !== "jobs" || !WITHIN_STATUS.has(change) || typeof status !== "string") {
    return [{ name: `${noun}, ${interval} ms`, filters: { queryKey: list }, interval }, item];
  }
  const filters = { queryKey: list, predicate: (query: Query) => mayShow(query, status) };
  return [{ name: `jobs that are ${status}`, filters, interval: STEADY_INTERVAL_MS }, item];
}

/** The curves of all running jobs are fetched together. What else progresses is in the event. */
function curvesOf(id: string): Outdated {
  const filters = { queryKey: queryKeys.item("jobs", id, "metrics") };
  return { name: "curves", part: id, filters, interval: STEADY_INTERVAL_MS };
}

/** Whether a list of jobs may have a row of this status. */
function mayShow(query: Query, status: string): boolean {
  const parameters = query.queryKey[2] as { status?: unknown; [COUNTED]?: true } | undefined;
  if (parameters?.[COUNTED] === true) return false;
  return !Array.isArray(parameters?.status) || parameters.status.includes(status);
}

interface Pending {
  filters: Map<string, InvalidateQueryFilters>;
  interval: number;
  dueAt: number;
}

export class Invalidation {
  private readonly pending = new Map<string, Pending>();
  /** When a name that was fetched a moment ago may be fetched again. */
  private readonly nextAt = new Map<string, number>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isFetching = false;

  constructor(private readonly client: QueryClient) {}

  add(outdated: readonly Outdated[], delay = BURST_MS): void {
    const soon = Date.now() + delay;
    for (const { name, part = "", filters, interval } of outdated) {
      const entry = this.pending.get(name) ?? { filters: new Map(), interval, dueAt: Infinity };
      entry.filters.set(part, filters);
      entry.dueAt = Math.min(entry.dueAt, Math.max(soon, this.nextAt.get(name) ?? 0));
      this.pending.set(name, entry);
    }
    this.schedule();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pending.clear();
  }

  private schedule(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.isFetching || this.pending.size === 0) return;
    const first = Math.min(...[...this.pending.values()].map(({ dueAt }) => dueAt));
    this.timer = setTimeout(() => void this.fetch(), Math.max(0, first - Date.now()));
  }

  /**
   * The next fetch waits for this one: a slow service is not asked faster than it answers. And it
   * waits while the page deletes its item, of which nothing can be fetched by then.
   */
  private async fetch(): Promise<void> {
    this.timer = undefined;
    if (this.client.isMutating({ mutationKey: DELETION }) > 0) {
      this.timer = setTimeout(() => void this.fetch(), BURST_MS);
      return;
    }
    this.isFetching = true;
    const due = [...this.pending].filter(([, { dueAt }]) => dueAt <= Date.now());
    for (const [name] of due) this.pending.delete(name);
    const filters = due.flatMap(([, entry]) => [...entry.filters.values()]);
    // One call: what two of them are about is fetched once.
    await this.client.invalidateQueries({
      predicate: (query) => filters.some((one) => matchQuery(one, query)),
    });
    this.isFetching = false;
    this.rest(due);
    this.schedule();
  }

  private rest(fetched: readonly [string, Pending][]): void {
    const now = Date.now();
    for (const [name, at] of this.nextAt) if (at <= now) this.nextAt.delete(name);
    for (const [name, { interval }] of fetched) {
      this.nextAt.set(name, now + interval);
      const waiting = this.pending.get(name);
      if (waiting !== undefined) waiting.dueAt = Math.max(waiting.dueAt, now + interval);
    }
  }
}
