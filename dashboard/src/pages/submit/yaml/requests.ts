/** The same submission from a shell and from Python. */

import { isSweep } from "./document";
import { isObject, type Json, type JsonObject } from "../spec/values";

/** `service` is the address of the service, with its path prefix. */
export function curlLine(body: JsonObject, service: string): string {
  const endpoint = isSweep(body) ? "sweeps" : "jobs";
  return [
    `curl ${shellQuoted(`${service}/v1/${endpoint}`)} \\`,
    `  -H "Authorization: Bearer $DISTILL_API_KEY" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  --data-binary @- <<'JSON'`,
    JSON.stringify(body, null, 2),
    "JSON",
  ].join("\n");
}

function shellQuoted(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** With the package distill-client. The key is that of DISTILL_API_KEY. */
export function pythonLines(body: JsonObject, service: string): string {
  const [variable, call] = isSweep(body) ? ["sweep", "submit_sweep"] : ["job", "submit"];
  return [
    "from distill_client import Distill",
    "",
    `with Distill(${JSON.stringify(service)}) as service:  # the key: DISTILL_API_KEY`,
    `    ${variable} = service.${call}(${python(body, "    ")})`,
    `    print(${variable}.id)`,
  ].join("\n");
}

/** A value as a Python literal. JSON's escapes in strings are Python's, too. */
export function python(value: Json, indent = ""): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const isList = Array.isArray(value);
  const items = isList
    ? value.map((item) => python(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item, inner)}`);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  const line = `${open}${items.join(", ")}${close}`;
  const isShort = line.length <= 60 && !line.includes("\n") && !isNested(value);
  if (items.length === 0 || isShort) return line;
  return `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${close}`;
}

function isNested(value: Json[] | JsonObject): boolean {
  return Object.values(value).some((item) => Array.isArray(item) || isObject(item));
}
