/** Exponential moving average without the bias of its first values; gaps (NaN) stay gaps. */

export function smooth(values: Float64Array, weight: number): Float64Array {
  let average = 0;
  let mass = 0;
  const smoothed = new Float64Array(values);
  for (let index = 0; index < smoothed.length; index += 1) {
    const value = smoothed[index] ?? NaN;
    if (!Number.isFinite(value)) continue;
    average = weight * average + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    smoothed[index] = average / mass;
  }
  return smoothed;
}
