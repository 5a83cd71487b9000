/** The part of the steps that is shown, in the address: `?steps=1200-1800`. Pure. */

export type StepRange = readonly [number, number];

export function parseSteps(text: string | null): StepRange | undefined {
  const match = /^(\d{1,10})-(\d{1,10})$/.exec(text ?? "");
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  return first < last ? [first, last] : undefined;
}

export function formatSteps([first, last]: StepRange): string {
  return `${Math.max(0, Math.floor(first))}-${Math.max(1, Math.ceil(last))}`;
}
