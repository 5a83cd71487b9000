/** Sentences below fields that say more than the schema can: what the values at hand mean. */

import type { Dataset, Model } from "@/api/queries";
import { decidingResult } from "@/format/measures";
import { formatInterval, formatNumber, formatPercent } from "@/format/numbers";
import { formatRadius, parseRadius, threatModelTitle } from "@/format/threat_model";

import { formatEntry } from "../spec/entry";
import { isObject, type Json } from "../spec/values";

const LEVELS = 255;
const SHARES: readonly [number, string][] = [
  [1, "the radius"],
  [0.5, "half of the radius"],
  [0.25, "a quarter of the radius"],
  [0.125, "an eighth of the radius"],
];

/** A radius as written: a number, or a fraction. */
export function radiusOf(value: Json | undefined): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" ? parseRadius(value) : undefined;
}

/** "0.15 = 38.25/255", "8/255 = 0.0314". */
export function radiusHint(value: Json | undefined): string | undefined {
  const radius = radiusOf(value);
  if (radius === undefined || radius <= 0 || radius > 1) return undefined;
  const fraction = formatRadius(radius);
  if (typeof value === "string" || fraction.includes("/")) {
    const text = fraction.includes("/") ? fraction : formatEntry(value);
    return `${text} = ${Number(radius.toFixed(4))}`;
  }
  return `${radius} = ${Number((radius * LEVELS).toFixed(2))}/${LEVELS}`;
}

/** "a quarter of the radius". */
export function stepHint(step: Json | undefined, radius: Json | undefined): string | undefined {
  const length = radiusOf(step);
  const whole = radiusOf(radius);
  if (length === undefined || whole === undefined || whole === 0 || length < 0) return undefined;
  const share = length / whole;
  const named = SHARES.find(([value]) => Math.abs(share - value) < 1e-6);
  return named?.[1] ?? `${formatNumber(share, 2)} of the radius`;
}

/** "small_cnn, width 16 · 75.56 % (70.9–79.7) under PGD-20 at L∞ 0.15". */
export function modelHint(model: Model): string {
  const { architecture, description, results } = model;
  const network: unknown = description.network;
  const width =
    isObject(network) && typeof network.width === "number" ? `, width ${network.width}` : "";
  const values = Object.entries(results).map(([key, { value }]) => [key, value] as const);
  const deciding = decidingResult(Object.fromEntries(values), model.deciding);
  if (deciding?.measure.threatModel === undefined) return `${architecture}${width}`;
  const { measure, value } = deciding;
  const result = results[measure.key];
  const interval =
    result?.low == null || result.high == null
      ? ""
      : ` (${formatInterval([result.low, result.high])})`;
  const at =
    measure.threatModel === undefined ? "" : ` at ${threatModelTitle(measure.threatModel)}`;
  return `${architecture}${width} · ${formatPercent(value)}${interval} under ${measure.label}${at}`;
}

interface Counts {
  training_images?: number | null;
  held_out_images?: number | null;
  test_images?: number;
}

/** "1,293 training, 144 held-out, 360 test images". */
export function imagesHint(counts: Counts): string {
  const { training_images: training, held_out_images: heldOut, test_images: test } = counts;
  const parts = [
    ...(training == null ? [] : [`${formatNumber(training)} training`]),
    ...(heldOut == null ? [] : [`${formatNumber(heldOut)} held-out`]),
    ...(test === undefined ? [] : [`${formatNumber(test)} test`]),
  ];
  return `${parts.join(", ")} images`;
}

type Shape = Pick<NonNullable<Dataset["description"]>, "classes" | "channels" | "height" | "width">;

/** Whether a network takes a data set's images and tells its classes apart. */
export function fits(model: Pick<Model, "description">, images: Shape | undefined): boolean {
  if (images === undefined) return true;
  const { classes, channels, height, width } = model.description;
  if (classes !== images.classes || channels !== images.channels) return false;
  const network: unknown = model.description.network;
  // Convolutions take other sizes, too; transformers do not.
  const hasOneSize = isObject(network) && network.image_size !== undefined;
  return !hasOneSize || (height === images.height && width === images.width);
}
