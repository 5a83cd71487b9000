/** Whether a page still waits for what it is first shown with. */

import { useState } from "react";

interface Waiting {
  isLoading: boolean;
  failureCount: number;
}

/**
 * True until none of the queries is under way: sections that came one after the other would move
 * those below them. A query that fails is not waited for; one that begins later changes the page
 * in place.
 */
export function useIsOpening(...queries: readonly Waiting[]): boolean {
  const [isOpen, setOpen] = useState(false);
  const waits = queries.some(({ isLoading, failureCount }) => isLoading && failureCount === 0);
  if (!isOpen && !waits) setOpen(true);
  return !isOpen && waits;
}
