/** The text in an input while it is typed: "0." stays "0.", although its value is 0. */

import { useState, type ChangeEvent } from "react";

import { formatEntry, parseEntry } from "../spec/entry";
import type { Field } from "../spec/schema";
import { isEqual, type Json } from "../spec/values";

export interface Entry {
  value: string;
  onChange: (event: ChangeEvent<HTMLInputElement>) => void;
  onBlur: () => void;
}

interface EntryOptions {
  value: Json | undefined;
  set: (value: Json | undefined) => void;
  parse: (text: string) => Json | undefined;
  format?: (value: Json | undefined) => string;
}

export function useEntry({ value, set, parse, format = formatEntry }: EntryOptions): Entry {
  const [draft, setDraft] = useState<string>();
  const isCurrent = draft !== undefined && isEqual(parse(draft), value);
  return {
    value: isCurrent ? draft : format(value),
    onChange: ({ target }) => {
      setDraft(target.value);
      set(parse(target.value));
    },
    onBlur: () => setDraft(undefined),
  };
}

/** The entry of a field of the schema. */
export function useFieldEntry(
  value: Json | undefined,
  field: Field | undefined,
  set: (value: Json | undefined) => void,
): Entry {
  const parse = (text: string) => (field === undefined ? text : parseEntry(text, field));
  return useEntry({ value, set, parse });
}
