/** Sizes as text: files in decimal units, as `ls` and browsers say; memory and disks in GiB. */

import { formatNumber } from "./numbers";

const NO_BREAK = "\u00a0";
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
const GIB = 2 ** 30;

/** "866.2 kB", "1.8 MB", "12 B". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${formatNumber(value, unit === 0 ? 0 : 1)}${NO_BREAK}${UNITS[unit] ?? "PB"}`;
}

/** "3.2 of 23.5 GiB"; without decimals from 100 GiB: "68 of 252 GiB". */
export function formatGibOf(used: number, total: number): string {
  const decimals = total >= 100 * GIB ? 0 : 1;
  const of = formatNumber(total / GIB, decimals);
  return `${formatNumber(used / GIB, decimals)} of ${of}${NO_BREAK}GiB`;
}
