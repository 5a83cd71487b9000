/** What is drawn below the lines: bands of intervals, and vertical marks with their words. */

import type uPlot from "uplot";

import type { Palette } from "./options";

/** A vertical line: "best", "trained for". */
export interface Mark {
  x: number;
  label: string;
}

/** Triples (x, low, high), in order of x. */
export type Band = readonly (readonly [number, number, number])[];

/** Room above the plot for the words of marks, px. */
export const MARK_SPACE = 18;

export function drawAnnotations(
  plot: uPlot,
  palette: Palette,
  marks: readonly Mark[],
  bands: readonly Band[],
): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = palette("band");
  for (const band of bands) drawBand(plot, band);
  ctx.strokeStyle = palette("line-strong");
  ctx.fillStyle = palette("text-2");
  const ratio = devicePixelRatio;
  ctx.font = `${12 * ratio}px ${palette("sans")}`;
  ctx.lineWidth = ratio;
  ctx.textBaseline = "bottom";
  for (const { x, label } of marks) {
    const left = plot.valToPos(x, "x", true);
    if (!(left >= bbox.left && left <= bbox.left + bbox.width)) continue;
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    const half = ctx.measureText(label).width / 2;
    const center = Math.min(left, bbox.left + bbox.width - half);
    ctx.textAlign = "center";
    ctx.fillText(label, center, bbox.top - 2 * ratio);
  }
  ctx.restore();
}

function drawBand(plot: uPlot, band: Band): void {
  const { ctx } = plot;
  ctx.beginPath();
  for (const [x, , high] of band) {
    ctx.lineTo(plot.valToPos(x, "x", true), plot.valToPos(high, "y", true));
  }
  for (const [x, low] of [...band].reverse()) {
    ctx.lineTo(plot.valToPos(x, "x", true), plot.valToPos(low, "y", true));
  }
  ctx.closePath();
  ctx.fill();
}
