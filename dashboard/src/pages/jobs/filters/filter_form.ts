/** From the filter's form to the address. */

import type { Changes } from "../address";

const METADATA_KEY = /^[A-Za-z0-9_.-]{1,64}$/;

function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value.trim() : "";
}

/** Names the value and what would be right; undefined where all is. */
export function formError(form: FormData): string | undefined {
  const key = text(form, "metadata_key");
  const least = text(form, "result_least");
  if (key !== "" && !METADATA_KEY.test(key)) {
    return `A metadata key has letters, digits, _, . and - only, unlike “${key}”.`;
  }
  if (text(form, "result_key") === "" && least !== "") return "Choose a result, too.";
  if (text(form, "result_key") === "") return undefined;
  const percent = Number(least);
  if (least === "" || !Number.isFinite(percent) || percent < 0 || percent > 100) {
    return `Must be a number from 0 to 100, not “${least}”.`;
  }
  return undefined;
}

/** What the form says, for the address: all of it, as the form shows all of it. */
export function filterChanges(form: FormData): Changes {
  const changes: Changes = {
    status: form.getAll("status").map(String),
    kind: form.getAll("kind").map(String),
  };
  for (const name of ["method", "student", "dataset", "sweep"]) changes[name] = text(form, name);
  const key = text(form, "metadata_key");
  if (key !== "") changes[`metadata[${key}]`] = text(form, "metadata_value");
  const result = text(form, "result_key");
  if (result !== "") changes[`result[${result}]`] = `>=${share(text(form, "result_least"))}`;
  return changes;
}

/** 50 per cent is 0.5, and 57.3 is 0.573 without the rest of a division. */
function share(percent: string): string {
  return String(Number((Number(percent) / 100).toFixed(8)));
}
