/** A page's state in its address: replaced, so that "back" leaves the page. */

import { useCallback } from "react";
import { useSearchParams } from "react-router";

export function useAddress(): { set: (name: string, value: string) => void } {
  const [, setParameters] = useSearchParams();
  const set = useCallback(
    (name: string, value: string) => {
      setParameters(
        (old) => {
          const next = new URLSearchParams(old);
          if (value === "") next.delete(name);
          else next.set(name, value);
          return next;
        },
        { replace: true, preventScrollReset: true },
      );
    },
    [setParameters],
  );
  return { set };
}
