// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { LiveConnection, type LiveEvent, type LiveState } from "./live_connection";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A service whose streams the test writes and ends. */
function makeService() {
  const requests: (string | undefined)[] = [];
  const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  let status = 200;
  const fetchStream = ((_url: string, init: RequestInit) => {
    requests.push((init.headers as Record<string, string>)["Last-Event-ID"]);
    const body = new ReadableStream<Uint8Array>({ start: (stream) => void streams.push(stream) });
    init.signal?.addEventListener("abort", () => streams.at(-1)?.error(new Error("aborted")));
    return Promise.resolve(new Response(status === 200 ? body : "{}", { status }));
  }) as typeof fetch;
  return {
    requests,
    fetchStream,
    refuse: (code: number) => (status = code),
    send: (text: string) => streams.at(-1)?.enqueue(new TextEncoder().encode(text)),
    end: () => streams.at(-1)?.close(),
  };
}

function makeConnection(fetchStream: typeof fetch) {
  const events: LiveEvent[] = [];
  const states: LiveState["status"][] = [];
  const times: (number | undefined)[] = [];
  const onGap = vi.fn();
  const onState = ({ status, currentAt }: LiveState) => {
    states.push(status);
    times.push(currentAt?.getTime());
  };
  const connection = new LiveConnection(
    { onEvent: (event) => events.push(event), onGap, onState },
    fetchStream,
  );
  return { connection, events, states, times, onGap };
}

const settle = () => vi.advanceTimersByTimeAsync(1);
const message = (seq: number) =>
  `event: job\ndata: {"seq":${seq},"type":"job","id":"job_1","change":"status"}\nid: ${seq}\n\n`;

test("a broken stream continues after the last event received", async () => {
  const service = makeService();
  const { connection, events, states, onGap } = makeConnection(service.fetchStream);
  connection.start();
  await settle();
  service.send(message(7));
  await settle();
  service.end();
  await vi.advanceTimersByTimeAsync(1100);
  service.send(message(8));
  await settle();
  expect(events.map(({ seq }) => seq)).toEqual([7, 8]);
  expect(service.requests).toEqual([undefined, "7"]);
  expect(states).toEqual(["live", "reconnecting", "live"]);
  expect(onGap).toHaveBeenCalledTimes(1); // at the first connection only
  connection.stop();
});

test("a stream that was quiet continues from where it began", async () => {
  const service = makeService();
  const { connection, onGap } = makeConnection(service.fetchStream);
  connection.start();
  await settle();
  service.send(": here\nid: 275\n\n");
  await settle();
  service.end();
  await vi.advanceTimersByTimeAsync(1100);
  expect(service.requests).toEqual([undefined, "275"]);
  expect(onGap).toHaveBeenCalledTimes(1);
  connection.stop();
});

test("a reset makes everything out of date", async () => {
  const service = makeService();
  const { connection, onGap } = makeConnection(service.fetchStream);
  connection.start();
  await settle();
  service.send("event: reset\ndata: {}\nid: 900\n\n");
  await settle();
  expect(onGap).toHaveBeenCalledTimes(2);
  connection.stop();
});

test("a stream without a sign of life is opened again", async () => {
  const service = makeService();
  const { connection } = makeConnection(service.fetchStream);
  connection.start();
  await settle();
  service.send(message(3));
  await vi.advanceTimersByTimeAsync(46_000);
  expect(service.requests).toEqual([undefined, "3"]);
  connection.stop();
});

test("a lost connection tells as of when the data is", async () => {
  const service = makeService();
  const { connection, states, times } = makeConnection(service.fetchStream);
  connection.start();
  await vi.advanceTimersByTimeAsync(20_000);
  service.send(message(3));
  await settle();
  const current = Date.now();
  service.refuse(503);
  service.end();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(states.slice(1)).toEqual(["reconnecting", "reconnecting", "reconnecting", "reconnecting"]);
  expect(times.slice(1).every((time) => Math.abs((time ?? 0) - current) < 10)).toBe(true);
  connection.stop();
});

test("a session that has ended is not tried again", async () => {
  const service = makeService();
  service.refuse(401);
  const { connection, states } = makeConnection(service.fetchStream);
  connection.start();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states).toEqual(["signed out"]);
  expect(service.requests).toHaveLength(1);
});

test("a stopped connection stays stopped", async () => {
  const service = makeService();
  const { connection, states } = makeConnection(service.fetchStream);
  connection.start();
  await settle();
  connection.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(service.requests).toHaveLength(1);
  expect(states).toEqual(["live"]);
});
