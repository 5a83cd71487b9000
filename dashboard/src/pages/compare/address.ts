/**
 * The page's address: `/compare?jobs=job_…,job_…&base=job_…&group=method&pin=job_…`.
 * Ids may also stand one each, under `job` or `jobs`.
 */

export type Grouping = "method" | "line" | "none";

export interface View {
  ids: readonly string[];
  base: string | undefined;
  network: "best" | "last";
  /** Undefined: what suits the jobs. */
  group: Grouping | undefined;
  /** Runs in color where there are more than eight; undefined: base and best. */
  pins: readonly string[] | undefined;
  /** "-autoattack@linf:8/255"; undefined: the deciding measure, the best first. */
  sort: string | undefined;
  /** "rows settings classes": what is shown in full. */
  open: ReadonlySet<string>;
}

/** In the address, where the usual runs would have the colors otherwise. */
export const NO_PINS = "none";

export function readView(parameters: URLSearchParams): View {
  const ids = [...parameters.getAll("jobs"), ...parameters.getAll("job")].flatMap(split);
  const group = parameters.get("group");
  const pins = parameters.get("pin");
  return {
    ids: [...new Set(ids)],
    base: parameters.get("base") ?? undefined,
    network: parameters.get("network") === "last" ? "last" : "best",
    group: group === "method" || group === "line" || group === "none" ? group : undefined,
    pins: pins === null ? undefined : split(pins).filter((pin) => pin !== NO_PINS),
    sort: parameters.get("sort") ?? undefined,
    open: new Set(split(parameters.get("open") ?? "")),
  };
}

function split(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}
