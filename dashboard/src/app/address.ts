/** What a page shows, kept in its address: a link shows the same, and "back" shows it again. */

import { useCallback } from "react";
import { useNavigate, useSearchParams } from "react-router";

type Next = (parameters: URLSearchParams) => URLSearchParams;
/** Another value for one name; empty or undefined removes it. */
export type SetParameter = (name: string, value: string | undefined) => void;

interface Address {
  parameters: URLSearchParams;
  set: SetParameter;
  /** `isStep`: "back" returns to what was before; otherwise it leaves the page. */
  change: (next: Next, options?: { isStep?: boolean }) => void;
}

export function useAddress(): Address {
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const change = useCallback<Address["change"]>(
    (next, { isStep = false } = {}) => {
      // Not from `parameters`: two changes may follow each other before one of them is rendered.
      const search = next(new URLSearchParams(window.location.search)).toString();
      const options = { replace: !isStep, preventScrollReset: !isStep, flushSync: true };
      void navigate(`?${search}`, options);
    },
    [navigate],
  );
  const set = useCallback<SetParameter>(
    (name, value) => change((parameters) => withParameter(parameters, name, value)),
    [change],
  );
  return { parameters, set, change };
}

function withParameter(parameters: URLSearchParams, name: string, value: string | undefined) {
  if (value) parameters.set(name, value);
  else parameters.delete(name);
  return parameters;
}
