/** Metadata as lines of text, "key=value", and the merge patch between two of them. Pure. */

export type Metadata = Record<string, string>;

export function metadataText(metadata: Metadata): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key}=${value}`)
    .join("\n");
}

/** Reads lines of "key=value"; the number of the first line that is none, else the entries. */
export function parseMetadata(text: string): Metadata | { wrongLine: number } {
  const entries: [string, string][] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const at = line.indexOf("=");
    if (at < 1) return { wrongLine: index + 1 };
    entries.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
  }
  return Object.fromEntries(entries);
}

export function isWrong(parsed: Metadata | { wrongLine: number }): parsed is { wrongLine: number } {
  return typeof parsed.wrongLine === "number";
}

/** The merge patch that makes `next` of `old`: what is gone is null. */
export function metadataPatch(old: Metadata, next: Metadata): Record<string, string | null> {
  const patch: Record<string, string | null> = {};
  for (const key of Object.keys(old)) if (!(key in next)) patch[key] = null;
  for (const [key, value] of Object.entries(next)) if (old[key] !== value) patch[key] = value;
  return patch;
}
