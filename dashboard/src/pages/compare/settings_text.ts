/** How many runs have which value of a setting. */

import { settingTexts } from "@/format/settings";

/** Each value with the number of runs that have it, the most frequent first. */
export function valueCounts(values: readonly unknown[]): { text: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const text of settingTexts(values)) {
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts]
    .map(([text, count]) => ({ text, count }))
    .sort((a, b) => b.count - a.count || a.text.localeCompare(b.text, "en", { numeric: true }));
}
