/** Turns events into queries to be fetched again: each at most every 500 ms. */

import type { InvalidateQueryFilters, Query, QueryClient } from "@tanstack/react-query";

import { queryKeys, type Noun } from "../query_keys";
import type { LiveEvent } from "./live_connection";

export const INTERVAL_MS = 500;
/** A change often comes as several events: wait for the others. */
const BURST_MS = 50;

const NOUNS: Record<LiveEvent["type"], Noun> = {
  job: "jobs",
  sweep: "sweeps",
  model: "models",
  dataset: "datasets",
  worker: "workers",
};
/** Changes that come all the time while a job runs; its status stays as it was. */
const STEADY = new Set(["progress", "changed"]);

/** What is out of date; of two with one name, one is enough. */
export interface Outdated {
  name: string;
  filters: InvalidateQueryFilters;
}

export const EVERYTHING: readonly Outdated[] = [{ name: "everything", filters: {} }];

/** Returns what an event makes out of date: lists of its noun, and all of its item. */
export function outdatedBy(event: Pick<LiveEvent, "type" | "id" | "change" | "data">): Outdated[] {
  const noun = NOUNS[event.type] as Noun | undefined;
  if (noun === undefined) return []; // of a newer service
  const item: Outdated = {
    name: `${noun} ${event.id}`,
    filters: { queryKey: queryKeys.item(noun, event.id) },
  };
  const status = event.data?.status;
  if (noun !== "jobs" || !STEADY.has(event.change) || typeof status !== "string") {
    return [{ name: noun, filters: { queryKey: queryKeys.list(noun) } }, item];
  }
  const lists: Outdated = {
    name: `jobs that are ${status}`,
    filters: {
      queryKey: queryKeys.list(noun),
      predicate: (query) => mayShow(query, status),
    },
  };
  return [lists, item];
}

/** Whether a list of jobs may have a row of this status. One of a single row is only counted. */
function mayShow(query: Query, status: string): boolean {
  const parameters = query.queryKey[2] as { status?: unknown; limit?: unknown } | undefined;
  if (parameters?.limit === 1) return false;
  return !Array.isArray(parameters?.status) || parameters.status.includes(status);
}

export class Invalidation {
  private readonly pending = new Map<string, InvalidateQueryFilters>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isFetching = false;

  constructor(private readonly client: QueryClient) {}

  add(outdated: readonly Outdated[], delay = BURST_MS): void {
    for (const { name, filters } of outdated) this.pending.set(name, filters);
    this.schedule(delay);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.pending.clear();
  }

  private schedule(delay: number): void {
    if (this.timer !== undefined || this.isFetching || this.pending.size === 0) return;
    this.timer = setTimeout(() => void this.fetch(), delay);
  }

  /** The next fetch waits for this one: a slow service is not asked faster than it answers. */
  private async fetch(): Promise<void> {
    const all = [...this.pending.values()];
    this.pending.clear();
    this.timer = undefined;
    this.isFetching = true;
    const pause = new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    await Promise.all(all.map((filters) => this.client.invalidateQueries(filters)));
    await pause;
    this.isFetching = false;
    this.schedule(0);
  }
}
