/** "Before you quote these numbers": what a reader of the report has to know. Pure. */

import type { Report } from "../data";

export interface Caution {
  text: string;
  /** It says that the results are those of one seed: two more runs would help. */
  isOneSeed: boolean;
}

const ONE_SEED = /\bone seed\b|\bsingle run\b/;

/** Warnings of the report, and failed checks for masked gradients that no warning tells. */
export function cautions(report: Pick<Report, "warnings" | "masking_checks">): Caution[] {
  const warnings = report.warnings.map((text) => ({ text, isOneSeed: ONE_SEED.test(text) }));
  const failed = report.masking_checks
    .filter(({ status, details }) => status === "failed" && !report.warnings.includes(details))
    .map(({ title, details }) => {
      const text = details === "" ? `Not true of this network: ${title}` : details;
      return { text: `${text} The network may mask its gradients.`, isOneSeed: false };
    });
  return [...warnings, ...failed];
}

/** "Checks for masked gradients: 3 passed, 4 not run." */
export function maskingSentence(checks: Report["masking_checks"]): string | undefined {
  const count = (wish: string) => checks.filter(({ status }) => status === wish).length;
  const parts = [
    [count("passed"), "passed"],
    [count("failed"), "failed"],
    [count("not_run"), "not run"],
  ] as const;
  const text = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  return text.length === 0 ? undefined : `Checks for masked gradients: ${text.join(", ")}.`;
}
