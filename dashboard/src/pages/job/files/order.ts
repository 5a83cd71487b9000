/** Files in the order in which people want them. Pure. */

import type { Artifact } from "../data";

const KINDS: readonly Artifact["kind"][] = ["weights", "export", "report", "figure", "checkpoint"];

/** What a person takes away: not figures, which are shown, nor checkpoints. */
export function isImportant({ kind }: Pick<Artifact, "kind">): boolean {
  return kind !== "figure" && kind !== "checkpoint";
}

export function byImportance(files: readonly Artifact[]): Artifact[] {
  return [...files].sort(
    (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || (a.name < b.name ? -1 : 1),
  );
}
