/** Changes that make a job a sweep, or a sweep a job. */

import { createContext, useContext } from "react";

import { isObject, valueAt, type Json, type JsonObject } from "../spec/values";
import { asJob, asSweep, changeText, isSweep, parseText } from "../yaml/document";
import { useSpecForm } from "../fields/context";

/** Replaces the whole text. */
export const TextContext = createContext<{
  text: string;
  setText: (text: string) => void;
}>({ text: "", setText: () => undefined });

export interface SweepChanges {
  setAxis: (path: string, values: Json[]) => void;
  removeAxis: (path: string) => void;
  setSeeds: (seeds: Json[]) => void;
  axisError: (path: string) => string | undefined;
}

export function useSweepChanges(): SweepChanges {
  const { body, errors } = useSpecForm();
  const { text, setText } = useContext(TextContext);
  return {
    setAxis: (path, values) => setText(withAxis(text, body, path, values)),
    removeAxis: (path) => setText(withoutAxis(text, path)),
    setSeeds: (seeds) => setText(withSeeds(text, body, seeds)),
    axisError: (axis) =>
      errors.find(({ path }) => path[0] === "axes" && (path.length < 2 || path[1] === axis))
        ?.message,
  };
}

export function withAxis(text: string, body: JsonObject, path: string, values: Json[]): string {
  if (!isSweep(body)) return asSweep(text, { [path]: values });
  return changeText(text, ["axes", path], values);
}

/** A sweep without axes and rows is a job again. */
export function withoutAxis(text: string, path: string): string {
  const changed = changeText(text, ["axes", path], undefined);
  const { body } = parseText(changed);
  const hasAxes = isObject(body?.axes) && Object.keys(body.axes).length > 0;
  const hasRows = Array.isArray(body?.rows) && body.rows.length > 0;
  return hasAxes || hasRows ? changed : asJob(changed);
}

export function withSeeds(text: string, body: JsonObject, seeds: Json[]): string {
  const isAxis = isSweep(body) && valueAt(body, ["axes", "seed"]) !== undefined;
  if (seeds.length > 1) return withAxis(text, body, "seed", seeds);
  const single = isAxis ? withoutAxis(text, "seed") : text;
  const prefix = isSweep(parseText(single).body ?? {}) ? ["base"] : [];
  return changeText(single, [...prefix, "seed"], seeds[0]);
}
