/**
 * Keys of queries: [noun, "list", parameters] and [noun, "item", id, part, …]. An event of the
 * project's stream makes the lists of its noun and everything of its item out of date.
 */

import type { QueryKey } from "@tanstack/react-query";

export type Noun = "jobs" | "sweeps" | "models" | "datasets" | "workers";

/** Parameter of a list that is only counted: what changes within a status is not in it. */
export const COUNTED = "counted";

export const queryKeys = {
  session: (): QueryKey => ["session"],
  /** All lists of a noun, or the one with these parameters. */
  list: (noun: Noun, parameters?: object): QueryKey =>
    parameters === undefined ? [noun, "list"] : [noun, "list", parameters],
  /** Everything of an item, or a part of it: `item("jobs", id, "metrics")`. */
  item: (noun: Noun, id: string, ...part: unknown[]): QueryKey => [noun, "item", id, ...part],
};
