// @vitest-environment jsdom
import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { jobsQuery } from "../queries";
import { queryKeys } from "../query_keys";
import { EventStreamParser } from "./event_stream";
import { Invalidation, INTERVAL_MS, outdatedBy } from "./invalidation";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("messages are read however the stream is cut", () => {
  const text = 'retry: 1000\n\n: hello\nid: 7\n\nevent: job\ndata: {"a":\ndata: 1}\nid: 8\r\n\r\n';
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new EventStreamParser();
    const messages = [];
    for (let at = 0; at < text.length; at += size) {
      messages.push(...parser.push(text.slice(at, at + size)));
    }
    expect(messages).toEqual([{ event: "job", data: '{"a":\n1}', id: "8" }]);
    expect(parser.lastId).toBe("8");
  }
});

test("the stream's first id is known before its first event", () => {
  const parser = new EventStreamParser();
  expect(parser.push(": here\nid: 275\n\n")).toEqual([]);
  expect(parser.lastId).toBe("275");
});

function clientWith(keys: readonly (readonly unknown[])[]): QueryClient {
  const client = new QueryClient();
  for (const key of keys) client.setQueryData(key, {});
  return client;
}

const invalidated = (client: QueryClient) =>
  client
    .getQueryCache()
    .getAll()
    .filter((query) => query.state.isInvalidated)
    .map((query) => query.queryKey);

test("a change of status concerns all lists of jobs, and that job", async () => {
  const running = jobsQuery({ status: ["running"] }).queryKey;
  const count = jobsQuery({ limit: 1, include_total: true }).queryKey;
  const metrics = queryKeys.item("jobs", "job_1", "metrics");
  const other = queryKeys.item("jobs", "job_2", "job");
  const client = clientWith([running, count, metrics, other, queryKeys.list("models")]);
  const invalidation = new Invalidation(client);
  invalidation.add(outdatedBy({ type: "job", id: "job_1", change: "status", data: null }));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(invalidated(client)).toEqual([running, count, metrics]);
});

test("progress concerns lists that may show the job, not counts", async () => {
  const running = jobsQuery({ status: ["running"] }).queryKey;
  const all = jobsQuery().queryKey;
  const client = clientWith([
    running,
    all,
    jobsQuery({ status: ["failed"] }).queryKey,
    jobsQuery({ limit: 1, include_total: true }).queryKey,
  ]);
  const event = {
    type: "job",
    id: "job_1",
    change: "progress",
    data: { status: "running" },
  } as const;
  new Invalidation(client).add(outdatedBy(event));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(invalidated(client)).toEqual([running, all]);
});

test("an event of a type that is not known concerns nothing", () => {
  const event = { type: "planet", id: "x", change: "created", data: null };
  expect(outdatedBy(event as never)).toEqual([]);
});

test("many events are one fetch every 500 ms", async () => {
  const client = clientWith([]);
  const fetches = vi.spyOn(client, "invalidateQueries");
  const invalidation = new Invalidation(client);
  for (let second = 0; second < 20; second += 1) {
    invalidation.add(outdatedBy({ type: "worker", id: "w", change: "changed", data: null }));
    await vi.advanceTimersByTimeAsync(100);
  }
  // Two filters (list and item) at 50, 550, 1050 and 1550 ms.
  expect(fetches).toHaveBeenCalledTimes(8);
});

test("the next fetch waits until the last one is answered", async () => {
  const client = clientWith([]);
  let answer: () => void = () => undefined;
  const fetches = vi
    .spyOn(client, "invalidateQueries")
    .mockImplementation(() => new Promise((resolve) => (answer = resolve)));
  const invalidation = new Invalidation(client);
  const event = { name: "all", filters: {} };
  invalidation.add([event]);
  await vi.advanceTimersByTimeAsync(100);
  invalidation.add([event]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(fetches).toHaveBeenCalledTimes(1);
  answer();
  await vi.advanceTimersByTimeAsync(0);
  expect(fetches).toHaveBeenCalledTimes(2);
});
