/** A spec as a flat list of settings, and where two specs differ. Pure. */

import { settingText } from "@/format/settings";

export interface Setting {
  /** "schedule.learning_rate". */
  name: string;
  value: string;
}

export interface Difference extends Setting {
  /** Of the job that it was cloned from; undefined where that had no such setting. */
  former: string | undefined;
}

/** Names of the body that are no settings. */
const NO_SETTINGS = new Set(["name", "metadata"]);

/** Every setting by its path, in the order of the spec. Lists are one setting each. */
export function settingsOf(spec: object): Setting[] {
  return Object.entries(spec)
    .filter(([name]) => !NO_SETTINGS.has(name))
    .flatMap(([name, value]) => flatten(name, value));
}

function flatten(name: string, value: unknown): Setting[] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value);
    // The name of a choice stands for it: "method", not "method.name".
    return entries.flatMap(([key, part]) =>
      flatten(key === "name" || key === "architecture" ? name : `${name}.${key}`, part),
    );
  }
  return [{ name, value: settingText(value) }];
}

/** Settings of `spec` that `former` has otherwise or not at all, and those that only it has. */
export function differences(spec: object, former: object): Difference[] {
  const before = new Map(settingsOf(former).map(({ name, value }) => [name, value]));
  const now = settingsOf(spec);
  const changed = now
    .filter(({ name, value }) => before.get(name) !== value)
    .map((setting) => ({ ...setting, former: before.get(setting.name) }));
  const names = new Set(now.map(({ name }) => name));
  const gone = [...before]
    .filter(([name]) => !names.has(name))
    .map(([name, value]) => ({ name, value: "none", former: value }));
  return [...changed, ...gone];
}
