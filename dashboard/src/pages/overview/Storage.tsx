import { useQuery } from "@tanstack/react-query";

import type { components } from "@/api/generated/schema";
import type { Fact } from "@/components/page/PageHead";
import { Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { QueryState } from "@/components/states/QueryState";
import { formatBytes, formatGibOf } from "@/format/bytes";

import { storageQuery } from "./data";

type StorageResponse = components["schemas"]["StorageResponse"];

/** Kinds that a person thinks of as one thing. */
const GROUPS: readonly { label: string; kinds: readonly string[] }[] = [
  { label: "Weights", kinds: ["weights", "model", "export"] },
  { label: "Checkpoints", kinds: ["checkpoint"] },
  { label: "Reports, figures", kinds: ["report", "figure", "log"] },
  { label: "Data sets", kinds: ["dataset", "thumbnails", "upload"] },
];

/** What the project's files take, and what is free. */
export function Storage() {
  const storage = useQuery(storageQuery);
  return (
    <Section title="Storage">
      <QueryState query={storage}>{(data) => <KeyValues facts={storageFacts(data)} />}</QueryState>
    </Section>
  );
}

export function storageFacts({ kinds, deleted, ...space }: StorageResponse): Fact[] {
  const facts = GROUPS.map(({ label, kinds: names }) => ({
    label,
    value: formatBytes(names.reduce((sum, name) => sum + (kinds[name]?.bytes ?? 0), 0)),
  }));
  if (deleted.bytes > 0) facts.push({ label: "Deleted", value: formatBytes(deleted.bytes) });
  const { free_bytes: free, capacity_bytes: capacity } = space;
  if (free != null && capacity != null) {
    facts.push({ label: "Free", value: formatGibOf(free, capacity) });
  }
  return facts;
}
