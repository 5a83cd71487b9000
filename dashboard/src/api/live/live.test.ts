// @vitest-environment jsdom
import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { DELETION } from "../deleted";
import { jobCountsQuery, jobsQuery } from "../queries";
import { queryKeys } from "../query_keys";
import { EventStreamParser } from "./event_stream";
import { EVERYTHING, Invalidation, INTERVAL_MS, outdatedBy } from "./invalidation";
import type { LiveEvent } from "./live_connection";
import { applyProgress } from "./progress";

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

test("an id counts when its message is complete", () => {
  const parser = new EventStreamParser();
  parser.push("id: 7\ndata: {}\n\nevent: job\ndata: {}\nid: 8\n");
  // The connection may break here: event 8 has not been seen.
  expect(parser.lastId).toBe("7");
  expect(parser.push("\n")).toEqual([{ event: "job", data: "{}", id: "8" }]);
  expect(parser.lastId).toBe("8");
});

test("a block of an id alone moves the stream on", () => {
  const parser = new EventStreamParser();
  parser.push("id: 7\ndata: {}\n\n");
  expect(parser.push(": still here\nid: 90\n\n")).toEqual([]);
  expect(parser.lastId).toBe("90");
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

const jobEvent = (id: string, change: string, data: Record<string, unknown> = {}): LiveEvent => ({
  seq: 1,
  type: "job",
  id,
  change,
  at: "2026-01-31T12:00:00Z",
  data: { status: "running", ...data },
});

const invalidated = (client: QueryClient) =>
  client
    .getQueryCache()
    .getAll()
    .filter((query) => query.state.isInvalidated)
    .map((query) => query.queryKey);

test("a change of status concerns all lists of jobs, and that job", async () => {
  const running = jobsQuery({ status: ["running"] }).queryKey;
  const count = jobCountsQuery().queryKey;
  const metrics = queryKeys.item("jobs", "job_1", "metrics");
  const other = queryKeys.item("jobs", "job_2", "job");
  const client = clientWith([running, count, metrics, other, queryKeys.list("models")]);
  const invalidation = new Invalidation(client);
  invalidation.add(outdatedBy({ type: "job", id: "job_1", change: "status", data: null }));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(invalidated(client)).toEqual([running, count, metrics]);
});

test("an epoch concerns lists that may show the job, not counts", async () => {
  const running = jobsQuery({ status: ["running"] }).queryKey;
  const all = jobsQuery().queryKey;
  const client = clientWith([
    running,
    all,
    jobsQuery({ status: ["failed"] }).queryKey,
    jobCountsQuery().queryKey,
  ]);
  new Invalidation(client).add(outdatedBy(jobEvent("job_1", "changed")));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(invalidated(client)).toEqual([running, all]);
});

test("progress concerns the job's curves alone", async () => {
  const curves = queryKeys.item("jobs", "job_1", "metrics", { names: "loss" });
  const client = clientWith([
    curves,
    jobsQuery().queryKey,
    queryKeys.item("jobs", "job_1", "job"),
    queryKeys.item("jobs", "job_2", "metrics", { names: "loss" }),
  ]);
  new Invalidation(client).add(outdatedBy(jobEvent("job_1", "progress")));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(invalidated(client)).toEqual([curves]);
});

test("progress is shown without a request", () => {
  const client = new QueryClient();
  const job = { id: "job_1", status: "running", phase: "training", progress: { step: 1 } };
  const other = { ...job, id: "job_2" };
  const list = jobsQuery().queryKey;
  const item = queryKeys.item("jobs", "job_1", "job");
  client.setQueryData(list, { data: [job, other] } as never, { updatedAt: 5 });
  client.setQueryData(item, job);
  client.setQueryData(queryKeys.list("jobs", { comparison: 1 }), { jobs: [] });
  const stale = queryKeys.list("jobs", { status: ["running"] });
  client.setQueryData(stale, { data: [job] });
  void client.invalidateQueries({ queryKey: stale, exact: true });
  const event = jobEvent("job_1", "progress", { phase: "training", progress: { step: 9 } });
  applyProgress(client, event);
  const changed = { ...job, progress: { step: 9 } };
  expect(client.getQueryData<object>(list)).toEqual({ data: [changed, other] });
  expect(client.getQueryData(item)).toEqual(changed);
  // Neither is new because of it, nor what was out of date before.
  expect(client.getQueryState(list)?.dataUpdatedAt).toBe(5);
  expect(client.getQueryState(stale)?.isInvalidated).toBe(true);
  // The job has ended meanwhile, or begun again: its row is not that of the event.
  applyProgress(client, jobEvent("job_1", "progress", { status: "pausing", progress: null }));
  expect(client.getQueryData(item)).toEqual(changed);
});

test("an event of a type that is not known concerns nothing", () => {
  const event = { type: "planet", id: "x", change: "created", data: null };
  expect(outdatedBy(event as never)).toEqual([]);
});

test("twenty running jobs are one fetch of curves in three seconds", async () => {
  const client = clientWith([]);
  const fetches = vi.spyOn(client, "invalidateQueries");
  const invalidation = new Invalidation(client);
  for (let second = 0; second < 60; second += 1) {
    for (let job = 0; job < 20; job += 1) {
      invalidation.add(outdatedBy(jobEvent(`job_${job}`, "progress")));
    }
    await vi.advanceTimersByTimeAsync(1000);
  }
  expect(fetches.mock.calls.length).toBeLessThanOrEqual(20);
  expect(fetches.mock.calls.length).toBeGreaterThanOrEqual(18);
  invalidation.stop();
});

test("a storm of changes is one fetch a second", async () => {
  const list = jobsQuery().queryKey;
  const client = clientWith([list]);
  const fetches = vi.spyOn(client, "invalidateQueries");
  const invalidation = new Invalidation(client);
  for (let tick = 0; tick < 50; tick += 1) {
    invalidation.add(outdatedBy(jobEvent("job_1", "status")));
    await vi.advanceTimersByTimeAsync(100);
  }
  // At 50, 1050, 2050, 3050 and 4050 ms.
  expect(fetches).toHaveBeenCalledTimes(5);
  expect(invalidated(client)).toEqual([list]);
  invalidation.stop();
});

test("one thing does not wait for the rest of another", async () => {
  const client = clientWith([jobsQuery().queryKey, queryKeys.list("models")]);
  const invalidation = new Invalidation(client);
  invalidation.add(outdatedBy(jobEvent("job_1", "status")));
  await vi.advanceTimersByTimeAsync(100);
  invalidation.add(outdatedBy({ type: "model", id: "mdl_1", change: "created", data: null }));
  await vi.advanceTimersByTimeAsync(100);
  expect(invalidated(client)).toEqual([jobsQuery().queryKey, queryKeys.list("models")]);
});

test("the next fetch waits until the last one is answered", async () => {
  const client = clientWith([]);
  let answer: () => void = () => undefined;
  const fetches = vi
    .spyOn(client, "invalidateQueries")
    .mockImplementation(() => new Promise((resolve) => (answer = resolve)));
  const invalidation = new Invalidation(client);
  invalidation.add(EVERYTHING);
  await vi.advanceTimersByTimeAsync(100);
  invalidation.add(EVERYTHING);
  await vi.advanceTimersByTimeAsync(5000);
  expect(fetches).toHaveBeenCalledTimes(1);
  answer();
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(fetches).toHaveBeenCalledTimes(2);
});

test("nothing is fetched while the page deletes its item", async () => {
  const list = jobsQuery().queryKey;
  const client = clientWith([list]);
  let answer: () => void = () => undefined;
  const mutationFn = () => new Promise<void>((resolve) => (answer = resolve));
  const deletion = client.getMutationCache().build(client, { mutationKey: DELETION, mutationFn });
  const isDone = deletion.execute(undefined);
  new Invalidation(client).add(outdatedBy(jobEvent("job_1", "deleted")));
  await vi.advanceTimersByTimeAsync(5000);
  expect(invalidated(client)).toEqual([]);
  answer();
  await isDone;
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(invalidated(client)).toEqual([list]);
});
