/** What AutoAttack's stages left, in words. Pure. */

import { enumerate, formatNumber, formatShare } from "@/format/numbers";

import type { Report } from "../data";

const TITLES: Record<string, string> = {
  "apgd-ce": "APGD-CE",
  "apgd-t": "APGD-T",
  "fab-t": "FAB-T",
  square: "Square",
};

interface Stage {
  standing: number;
  broken: number;
}

/** "AutoAttack left 63.61 after APGD-CE and 56.67 after APGD-T; FAB-T and Square broke 0 more. " */
export function stagesSentence(report: Report | undefined, network: string): string {
  const results = Object.values(report?.results[network] ?? {});
  const result = results.find(({ measure }) => measure.name === "autoattack");
  const stages = stagesOf(result);
  const broke = stages.filter(([, { broken }]) => broken > 0);
  const idle = stages.filter(([, { broken }]) => broken === 0);
  if (broke.length === 0) return "";
  const accuracies = broke.map(
    ([name, { standing }]) => `${formatShare(standing)} after ${title(name)}`,
  );
  const rest = idle.map(([name]) => title(name));
  const more = rest.length === 0 ? "" : `; ${enumerate(rest)} broke ${formatNumber(0)} more`;
  return `AutoAttack left ${enumerate(accuracies)}${more}. `;
}

function title(name: string): string {
  return TITLES[name] ?? name;
}

function stagesOf(result: object | undefined): [string, Stage][] {
  if (result === undefined || !("stages" in result)) return [];
  const { stages } = result;
  if (typeof stages !== "object" || stages === null) return [];
  return Object.entries(stages).filter((entry): entry is [string, Stage] => isStage(entry[1]));
}

function isStage(value: unknown): value is Stage {
  if (typeof value !== "object" || value === null) return false;
  const { standing, broken } = value as Partial<Stage>;
  return typeof standing === "number" && typeof broken === "number";
}
