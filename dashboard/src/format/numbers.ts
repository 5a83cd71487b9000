/** Numbers as text. Every function is pure; a true minus sign, no unit in a cell. */

export const MINUS = "\u2212";
const NO_BREAK = "\u00a0";

/** By number of decimals: a format costs much more to make than to use. */
const FORMATS = new Map<number, Intl.NumberFormat>();

function formatOf(decimals: number): Intl.NumberFormat {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const format = FORMATS.get(decimals) ?? new Intl.NumberFormat("en-US", digits);
  FORMATS.set(decimals, format);
  return format;
}

/** 48.9 with one decimal, 6,274 with none. */
export function formatNumber(value: number, decimals = 0): string {
  const text = formatOf(decimals).format(Math.abs(value));
  const isZero = Number(text.replaceAll(",", "")) === 0;
  return value < 0 && !isZero ? MINUS + text : text;
}

/** A share in [0, 1] as per cent without its unit: 0.9333 is "93.33". */
export function formatShare(share: number, decimals = 2): string {
  return formatNumber(100 * share, decimals);
}

/** A share in [0, 1] with its unit: "93.33 %". */
export function formatPercent(share: number, decimals = 2): string {
  return `${formatShare(share, decimals)}${NO_BREAK}%`;
}

/** A difference with its sign: "+3.89", "−10.00". */
export function formatSigned(value: number, decimals = 2): string {
  const text = formatNumber(value, decimals);
  return text.startsWith(MINUS) || Number(text) === 0 ? text : `+${text}`;
}

/** A loss or a rate: four significant digits, 1.2e−5 where that is shorter. */
export function formatSignificant(value: number, digits = 4): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e6) {
    return String(Number(value.toPrecision(digits))).replace("-", MINUS);
  }
  const [mantissa = "", exponent = ""] = value.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}e${exponent.replace("+", "")}`.replaceAll("-", MINUS);
}

/** "60.8–70.5": an interval of shares in per cent, without its unit. */
export function formatInterval([low, high]: readonly [number, number], decimals = 1): string {
  return `${formatShare(low, decimals)}–${formatShare(high, decimals)}`;
}

/** "1 job", "5 jobs", "no jobs": a count in a sentence. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  if (count === 0) return `no ${nouns}`;
  return `${formatNumber(count)}${NO_BREAK}${count === 1 ? noun : nouns}`;
}

/** "a", "a and b", "a, b and c". */
export function enumerate(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}

/** The middle value; the mean of both where there are two. Undefined for no values. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}
