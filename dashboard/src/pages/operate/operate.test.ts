// @vitest-environment jsdom

import { expect, test } from "vitest";

import type { Worker } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import type { Key, Storage } from "./data";
import { answer, expiryNote, hiddenSections, keyState, sinceOf } from "./sentences";
import { rowsOf } from "./StorageByKind";

const NOW = new Date("2026-11-28T12:00:00Z");
const key = (changes: Partial<Key> = {}) =>
  ({ expires_at: null, revoked_at: null, ...changes }) as Key;
const worker = (changes: Partial<Worker> = {}) =>
  ({ alive: true, draining: false, trouble: null, ...changes }) as Worker;

test("a key is usable until it expires or is revoked", () => {
  expect(keyState(key(), NOW)).toBe("usable");
  expect(keyState(key({ expires_at: "2026-11-28T12:00:00Z" }), NOW)).toBe("expired");
  expect(keyState(key({ expires_at: "2026-12-01T12:00:00Z" }), NOW)).toBe("ending");
  expect(keyState(key({ expires_at: "2027-12-01T12:00:00Z" }), NOW)).toBe("usable");
  expect(keyState(key({ revoked_at: "2026-11-01T12:00:00Z" }), NOW)).toBe("revoked");
  expect(expiryNote(key({ expires_at: "2026-12-01T11:00:00Z" }), NOW)).toBe(
    "expires in 3\u00a0days",
  );
});

test("the answer counts workers that claim jobs, and keys that can be used", () => {
  const workers = [worker(), worker({ draining: true }), worker({ alive: false })];
  const keys = [key(), key({ expires_at: "2026-12-01T12:00:00Z" }), key({ revoked_at: "x" })];
  expect(plainAnswer(answer({ now: NOW, workers, keys, isReady: true }))).toBe(
    "Database and object store respond. 1 worker claims jobs; 1 is draining and 1 is lost. " +
      "2 keys can be used, 1 of them ends within two weeks.",
  );
});

test("the answer says that nothing runs, and keeps to what may be read", () => {
  const workers = [worker({ trouble: "The disk is full." })];
  expect(plainAnswer(answer({ now: NOW, workers, keys: undefined, isReady: false }))).toBe(
    "The service is not ready. No worker claims jobs: 1 is in trouble. ",
  );
  expect(answer({ now: NOW, workers: undefined, keys: undefined, isReady: undefined })).toEqual([]);
});

test("what a key may not see is one sentence", () => {
  expect(hiddenSections(["read", "submit", "admin", "operator"])).toBeUndefined();
  expect(hiddenSections(["read"])).toBe(
    "Workers and projects are for the scope operator, keys and the audit log for the scope admin; " +
      "your key has read.",
  );
});

test("periods are times before the page was opened", () => {
  expect(sinceOf("hour", NOW.getTime())).toBe("2026-11-28T11:00:00.000Z");
  expect(sinceOf("", NOW.getTime())).toBeUndefined();
  expect(sinceOf("no such", NOW.getTime())).toBeUndefined();
});

test("storage is by kind, the largest first, deleted files last", () => {
  const rows = rowsOf({
    kinds: {
      report: { files: 2, bytes: 10 },
      weights: { files: 1, bytes: 99 },
      log: { files: 0, bytes: 0 },
    },
    deleted: { files: 1, bytes: 1000 },
  } as unknown as Storage);
  expect(rows.map(({ kind }) => kind)).toEqual(["weights", "report", "Deleted, can be restored"]);
});
