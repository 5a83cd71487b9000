/** Metadata as lines of text, "key: value", and back as a merge patch. Pure. */

export type Metadata = Record<string, string>;
export type MetadataPatch = Record<string, string | null>;

export function metadataText(metadata: Metadata): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key}: ${value.replaceAll("\n", " ")}`)
    .join("\n");
}

export type Parsed = { metadata: Metadata } | { problem: string };

export function parseMetadata(text: string): Parsed {
  const metadata: Metadata = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const colon = line.indexOf(":");
    const key = line.slice(0, colon).trim();
    if (colon < 1 || key === "") return { problem: `“${line.trim()}” must be “key: value”.` };
    if (key in metadata) return { problem: `There is “${key}” twice.` };
    metadata[key] = line.slice(colon + 1).trim();
  }
  return { metadata };
}

/** Only what was changed; a key that is gone is null. */
export function metadataPatch(before: Metadata, now: Metadata): MetadataPatch {
  const patch: MetadataPatch = {};
  for (const key of Object.keys(before)) if (!(key in now)) patch[key] = null;
  for (const [key, value] of Object.entries(now)) if (before[key] !== value) patch[key] = value;
  return patch;
}
