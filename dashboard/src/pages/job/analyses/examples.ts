/** Adversarial examples of a report, and the colors of a change. Pure. */

import type { MeasureResult, Report } from "../data";

export interface Prediction {
  prediction: number | null;
  probability: number | null;
}

interface Predictions {
  clean: Prediction;
  attacked: Prediction;
}

export interface Example {
  index: number;
  label: number;
  outcome: string;
  network: Predictions;
  reference?: Predictions;
}

export interface Examples {
  radius: number;
  steps: number;
  /** Over all test images, by name. */
  outcomes: Record<string, number>;
  picture: { file: string; tile_width: number; tile_height: number };
  examples: readonly Example[];
}

export function examplesOf(report: Report, network: string): Examples | undefined {
  const result: MeasureResult | undefined = report.results[network]?.examples;
  if (result === undefined || !("examples" in result) || !("picture" in result)) return undefined;
  return result as unknown as Examples;
}

const TITLES: Record<string, string> = {
  network_falls: "Student falls",
  both_fall: "Both fall",
  both_hold: "Both hold",
  reference_falls: "Only the teacher falls",
  network_holds: "Holds",
};
/** Without a second network. */
const ALONE: Record<string, string> = { network_falls: "Falls", network_holds: "Holds" };

export interface Filter {
  value: string;
  label: string;
}

export const MIXED = "mixed";

/** Mixed, and each outcome of which an image is shown, with its number over all test images. */
export function filtersOf({ outcomes, examples }: Examples): Filter[] {
  const hasReference = "both_hold" in outcomes;
  const titles = hasReference ? TITLES : ALONE;
  const order = ["network_falls", "both_fall", "both_hold", "network_holds", "reference_falls"];
  const shown = order.filter((name) => examples.some(({ outcome }) => outcome === name));
  return [
    { value: MIXED, label: "Mixed" },
    ...shown.map((value) => ({
      value,
      label: `${titles[value] ?? value} ${outcomes[value] ?? 0}`,
    })),
  ];
}

/**
 * The color of a change in a gray image: orange where it got darker, blue where lighter, full at
 * the radius. `level` is 0 to 255, with 127.5 for no change.
 */
export function changeColor(level: number, colors: { none: Rgb; darker: Rgb; lighter: Rgb }): Rgb {
  const change = Math.max(-1, Math.min(1, level / 127.5 - 1));
  const full = change < 0 ? colors.darker : colors.lighter;
  // Half a level is rounding.
  const share = Math.abs(change) < 0.005 ? 0 : Math.abs(change);
  return colors.none.map((part, index) =>
    Math.round(part + share * ((full[index] ?? 0) - part)),
  ) as unknown as Rgb;
}

export type Rgb = readonly [number, number, number];

/** "#106bcc" and "rgb(16, 107, 204)" as three levels. */
export function parseColor(text: string): Rgb {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})/i.exec(text);
  if (hex !== null) {
    return [1, 2, 3].map((index) => parseInt(hex[index] ?? "0", 16)) as unknown as Rgb;
  }
  const [red = 0, green = 0, blue = 0] = (text.match(/\d+/g) ?? []).map(Number);
  return [red, green, blue];
}
