/** Deletes the item that a page shows. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { flushSync } from "react-dom";

import { DELETION, remove, type DeletableNoun } from "@/api/deleted";

/**
 * Nothing asks for what is being deleted, which would be answered "not found": fetches that are
 * under way are given up, and the page has let go of the item before anything is fetched again.
 */
export function useDeletion<Item>(
  noun: DeletableNoun,
  id: string,
  onDeleted: (item: Item) => void,
) {
  const client = useQueryClient();
  return useMutation({
    mutationKey: DELETION,
    mutationFn: () => remove(noun, id) as Promise<Item>,
    onMutate: () => client.cancelQueries({ type: "active" }),
    onSuccess: (item) => flushSync(() => onDeleted(item)),
    onSettled: () => void client.invalidateQueries(),
  });
}
