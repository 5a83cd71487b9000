/** Reads server-sent events from the text of a response, however its chunks are cut. */

export interface StreamMessage {
  /** "message" where the stream names no other. */
  event: string;
  data: string;
  /** Of this message or the last one that had an id. */
  id: string | undefined;
}

export class EventStreamParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  /** Of the block that is being read. */
  private id: string | undefined;
  private finishedId: string | undefined;

  /**
   * The id to continue after: of the last block that is complete, whether it has a message or only
   * says how far the stream is.
   */
  get lastId(): string | undefined {
    return this.finishedId;
  }

  /** Returns the messages that this chunk completes. */
  push(chunk: string): StreamMessage[] {
    const lines = (this.rest + chunk).split(/\r\n|\r(?!$)|\n/);
    this.rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.readLine(line));
  }

  private readLine(line: string): StreamMessage[] {
    if (line === "") return this.finish();
    const colon = line.indexOf(":");
    if (colon === 0) return []; // a comment: a sign of life
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id") this.id = value;
    return [];
  }

  private finish(): StreamMessage[] {
    this.finishedId = this.id;
    const message = { event: this.event || "message", data: this.data.join("\n"), id: this.id };
    const isEmpty = this.data.length === 0 && this.event === "";
    this.event = "";
    this.data = [];
    return isEmpty ? [] : [message];
  }
}
