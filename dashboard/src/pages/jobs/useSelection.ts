/** The selection: at once on the page, and then in its address. */

import { useState } from "react";

/** `address` is the selection as the address has it; `write` puts another one there. */
export function useSelection(address: ReadonlySet<string>, write: (selected: string) => void) {
  const key = [...address].join(",");
  const [state, setState] = useState({ selected: address, key });
  if (state.key !== key) {
    // The address has changed: by the selection itself, by Back, or by a link.
    setState({ selected: address, key });
  }
  const select = (ids: Iterable<string>) => {
    const selected = new Set(ids);
    // A navigation takes a moment: a check box must not wait for it.
    setState({ selected, key });
    write([...selected].join(","));
  };
  return { selected: state.selected, select };
}
