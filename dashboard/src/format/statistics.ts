/** Intervals of accuracies. */

export type Interval = readonly [number, number];

const Z_95 = 1.959963984540054;

/**
 * Wilson's 95 % interval of a share that was counted on `images` images, in [0, 1].
 * Wilson, JASA 22 (1927).
 */
export function wilsonInterval(share: number, images: number, z = Z_95): Interval {
  const scale = 1 + z ** 2 / images;
  const center = (share + z ** 2 / (2 * images)) / scale;
  const variance = (share * (1 - share)) / images + z ** 2 / (4 * images ** 2);
  const half = (z * Math.sqrt(variance)) / scale;
  return [Math.max(0, center - half), Math.min(1, center + half)];
}

/** Standard error of a share that was counted on `images` images, in [0, 1]. */
export function standardError(share: number, images: number): number {
  return Math.sqrt((share * (1 - share)) / images);
}
