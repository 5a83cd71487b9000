/** Values of settings as text. */

import { MINUS } from "@/format/numbers";

/** As REST has it; "–" where a run does not have the setting. */
export function settingText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value).replace(/^-/, MINUS);
  return JSON.stringify(value);
}

/** Each value with the number of runs that have it, the most frequent first. */
export function valueCounts(values: readonly unknown[]): { text: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const value of values) {
    const text = settingText(value);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts]
    .map(([text, count]) => ({ text, count }))
    .sort((a, b) => b.count - a.count || a.text.localeCompare(b.text, "en", { numeric: true }));
}
