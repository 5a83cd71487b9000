/** Threat models in words: "L∞ 8/255", and the sentence of the threat line. */

export type Norm = "linf" | "l2";

/** A ball around each image. `radius` is on pixels in [0, 1]; in L2, of the whole image. */
export interface ThreatModel {
  norm: Norm;
  radius: number;
}

const NORMS: Record<Norm, string> = { linf: "L∞", l2: "L2" };
const LEVELS = 255;
const RELATIVE_TOLERANCE = 1e-5;

/** 8/255 for a whole number of pixel levels, else the decimal number, as REST writes it. */
export function formatRadius(radius: number): string {
  if (Number(radius.toFixed(3)) === radius) return String(radius);
  const levels = Math.round(radius * LEVELS);
  const distance = Math.abs(radius * LEVELS - levels);
  if (levels > 0 && distance <= RELATIVE_TOLERANCE * levels) return `${levels}/${LEVELS}`;
  return String(radius);
}

/** Reads "8/255" and "0.15"; undefined for other text. */
export function parseRadius(text: string): number | undefined {
  const [numerator = "", denominator] = text.split("/");
  const radius = Number(numerator) / (denominator === undefined ? 1 : Number(denominator));
  return text !== "" && Number.isFinite(radius) ? radius : undefined;
}

/** Reads "linf:8/255", the threat model's part of a measure's key. */
export function parseThreatModel(text: string): ThreatModel | undefined {
  const match = /^(linf|l2):(.+)$/.exec(text);
  const radius = parseRadius(match?.[2] ?? "");
  return radius === undefined ? undefined : { norm: match?.[1] as Norm, radius };
}

/** "linf:8/255": equal for equal threat models. */
export function threatModelKey({ norm, radius }: ThreatModel): string {
  return `${norm}:${formatRadius(radius)}`;
}

/** The tag's text: "L∞ 8/255". */
export function threatModelTitle({ norm, radius }: ThreatModel): string {
  return `${NORMS[norm]}\u00a0${formatRadius(radius)}`;
}

/** What the adversary may do, as a sentence in two parts around its radius. */
export function threatModelSentence({ norm, radius }: ThreatModel): {
  before: string;
  radius: string;
  after: string;
} {
  const before = norm === "linf" ? "Each pixel may change by at most " : "The image may change by ";
  const after =
    norm === "linf"
      ? " (pixels in [0, 1])."
      : " at most, in the L2 norm of all its pixels (in [0, 1]).";
  return { before, radius: formatRadius(radius), after };
}
