/** The text that is worked on, its body, and the last body that could be read. */

import { useState } from "react";

import type { JsonObject } from "./spec/values";
import type { Start } from "./start/start";
import { parseText, type SyntaxProblem } from "./yaml/document";

export interface SpecText {
  text: string;
  /** Of the last text that was YAML: the form shows it meanwhile. */
  body: JsonObject;
  syntax: SyntaxProblem | undefined;
  setText: (text: string) => void;
  /** Forgets the work: it has been submitted. */
  forget: () => void;
}

/** Work on each start, by its address: going away and back loses nothing. Gone with the page. */
const drafts = new Map<string, string>();

interface State {
  text: string;
  body: JsonObject;
  syntax: SyntaxProblem | undefined;
}

export function useSpecText(search: string, start: Start): SpecText {
  const [state, setState] = useState(() => read(drafts.get(search) ?? start.text, {}));
  return {
    ...state,
    setText: (text) => {
      drafts.set(search, text);
      setState((before) => read(text, before.body));
    },
    forget: () => drafts.delete(search),
  };
}

function read(text: string, before: JsonObject): State {
  const { body, problem } = parseText(text);
  return { text, body: body ?? before, syntax: problem };
}
