/**
 * The project's one stream of changes, GET /v1/events. It connects again by itself, from the last
 * event that it has received, and lets go of its connection while nobody looks: a browser has six
 * for all pages of a service.
 */

import { isSignedOut, problemOf } from "../problem";
import { ROOT } from "../root";
import { EventStreamParser, type StreamMessage } from "./event_stream";

/** A change of one item of the project. */
export interface LiveEvent {
  seq: number;
  type: "job" | "sweep" | "model" | "dataset" | "worker";
  id: string;
  change: string;
  at: string;
  data?: Record<string, unknown> | null;
}

export type LiveStatus = "connecting" | "live" | "reconnecting" | "signed out";

export interface LiveState {
  status: LiveStatus;
  /** When the page was last known to be up to date. */
  currentAt: Date | undefined;
}

export interface LiveListener {
  onEvent: (event: LiveEvent) => void;
  /** Changes may have been missed: everything on the page is out of date. */
  onGap: () => void;
  onState: (state: LiveState) => void;
}

const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 15_000;
/** The service sends a comment every 15 s; after three without one the connection is dead. */
const SILENCE_MS = 45_000;
const HIDDEN_MS = 60_000;

export class LiveConnection {
  private state: LiveState = { status: "connecting", currentAt: undefined };
  private lastEventId: string | undefined;
  private delay = FIRST_DELAY_MS;
  private abort: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly listener: LiveListener,
    private readonly fetchStream: typeof fetch = (...request) => fetch(...request),
  ) {}

  start(): void {
    document.addEventListener("visibilitychange", this.onVisibility);
    void this.connect();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.disconnect();
  }

  private readonly onVisibility = () => {
    clearTimeout(this.timer);
    if (document.hidden) this.timer = setTimeout(() => this.disconnect(), HIDDEN_MS);
    else if (this.abort === undefined) void this.connect();
  };

  private disconnect(): void {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.abort?.abort();
    this.abort = undefined;
  }

  private async connect(): Promise<void> {
    this.disconnect();
    const abort = new AbortController();
    this.abort = abort;
    try {
      await this.read(abort);
    } catch (error) {
      if (abort !== this.abort) return; // replaced or stopped on purpose
      if (isSignedOut(error)) {
        this.disconnect();
        this.setState("signed out");
        return;
      }
    }
    if (abort === this.abort) this.reconnectLater();
  }

  private async read(abort: AbortController): Promise<void> {
    this.expectSignOfLife(abort);
    const response = await this.fetchStream(`${ROOT}/v1/events`, {
      credentials: "same-origin",
      headers: {
        Accept: "text/event-stream",
        ...(this.lastEventId === undefined ? {} : { "Last-Event-ID": this.lastEventId }),
      },
      signal: abort.signal,
    });
    if (!response.ok || response.body === null) throw await problemOf(response);
    this.delay = FIRST_DELAY_MS;
    // Without an id to continue from, what happened since the page was loaded is not known.
    if (this.lastEventId === undefined) this.listener.onGap();
    this.setState("live");
    const parser = new EventStreamParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.expectSignOfLife(abort);
      this.state = { ...this.state, currentAt: new Date() };
      for (const message of parser.push(value)) this.onMessage(message);
      this.lastEventId = parser.lastId ?? this.lastEventId;
    }
  }

  private onMessage(message: StreamMessage): void {
    if (message.event === "reset") {
      this.listener.onGap();
      return;
    }
    const event = parseEvent(message.data);
    if (event !== undefined) this.listener.onEvent(event);
  }

  private expectSignOfLife(abort: AbortController): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      if (abort === this.abort) void this.connect();
    }, SILENCE_MS);
  }

  private reconnectLater(): void {
    clearTimeout(this.silence);
    this.setState("reconnecting");
    this.timer = setTimeout(() => void this.connect(), this.delay);
    this.delay = Math.min(2 * this.delay, LONGEST_DELAY_MS);
  }

  private setState(status: LiveStatus): void {
    const isFresh = status === "live";
    this.state = { status, currentAt: isFresh ? new Date() : this.state.currentAt };
    this.listener.onState(this.state);
  }
}

function parseEvent(data: string): LiveEvent | undefined {
  try {
    return JSON.parse(data) as LiveEvent;
  } catch {
    return undefined;
  }
}
