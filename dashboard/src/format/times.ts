/** Times and durations as text. Times are UTC, as REST gives them; durations are seconds. */

import { formatNumber } from "./numbers";

const NO_BREAK = "\u00a0";
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** "0.4 s", "31 s", "2 min 02 s", "9 min", "3 h 20 min", "2 d 4 h". */
export function formatDuration(seconds: number): string {
  if (seconds < 0.95 && seconds > 0) return unit(formatNumber(seconds, 1), "s");
  const whole = Math.max(0, Math.round(seconds));
  if (whole < MINUTE) return unit(whole, "s");
  if (whole < 5 * MINUTE) return pair(Math.floor(whole / MINUTE), "min", whole % MINUTE, "s");
  const minutes = Math.round(whole / MINUTE);
  if (minutes < 60) return unit(minutes, "min");
  if (minutes < 48 * 60) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(whole / HOUR);
  const days = unit(Math.floor(hours / 24), "d");
  return hours % 24 ? `${days} ${unit(hours % 24, "h")}` : days;
}

/** "8 s ago", "4 min ago", "just now". */
export function formatAge(seconds: number): string {
  if (seconds < 1) return "just now";
  if (seconds < MINUTE) return `${unit(Math.floor(seconds), "s")} ago`;
  if (seconds < HOUR) return `${unit(Math.floor(seconds / MINUTE), "min")} ago`;
  if (seconds < 2 * DAY) return `${unit(Math.floor(seconds / HOUR), "h")} ago`;
  return `${unit(Math.floor(seconds / DAY), "d")} ago`;
}

/** "11:15"; with seconds "11:15:29". */
export function formatClock(at: Date, withSeconds = false): string {
  return at.toISOString().slice(11, withSeconds ? 19 : 16);
}

/** "11:15" for today, "27 Nov" for another day of the year, "27 Nov 2025" for another year. */
export function formatWhen(at: Date, now: Date): string {
  const day = at.toISOString().slice(0, 10);
  const today = now.toISOString().slice(0, 10);
  if (day === today) return formatClock(at);
  const date = `${at.getUTCDate()}${NO_BREAK}${MONTHS[at.getUTCMonth()] ?? ""}`;
  return day.slice(0, 4) === today.slice(0, 4) ? date : `${date} ${day.slice(0, 4)}`;
}

/** "2026-11-27 11:15:29 UTC": the whole time, for a title. */
export function formatExact(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Seconds from one time of REST to another, or to `now`. */
export function secondsBetween(from: string, to: string | Date): number {
  const end = typeof to === "string" ? Date.parse(to) : to.getTime();
  return (end - Date.parse(from)) / 1000;
}

function unit(value: number | string, name: string): string {
  return `${value}${NO_BREAK}${name}`;
}

function pair(value: number, name: string, rest: number, restName: string): string {
  return rest === 0
    ? unit(value, name)
    : `${unit(value, name)} ${unit(String(rest).padStart(2, "0"), restName)}`;
}
