/** Asks before the item that a page shows is deleted. */

import type { DeletableNoun } from "@/api/deleted";

import { ConfirmDialog } from "../controls/Dialog";
import { Failure } from "../states/QueryState";
import { useDeletion } from "./useDeletion";

const WHAT_STAYS: Record<DeletableNoun, string> = {
  jobs: "The published model stays.",
  models: "Its name becomes free. Jobs that have used it keep their results.",
  datasets: "Its name becomes free. Jobs that have used it keep their results.",
};

interface DeleteProps<Item> {
  noun: DeletableNoun;
  item: Item;
  /** Of the item, in the question. */
  name: string;
  onDeleted: (item: Item) => void;
  onClose: () => void;
}

export function DeleteDialog<Item extends { id: string }>(props: DeleteProps<Item>) {
  const { noun, item, name, onDeleted, onClose } = props;
  const deletion = useDeletion(noun, item.id, onDeleted);
  return (
    <ConfirmDialog
      title={`Delete ${name}?`}
      action="Delete"
      isOpen
      isBusy={deletion.isPending}
      onConfirm={() => deletion.mutate()}
      onClose={onClose}
    >
      <p>{WHAT_STAYS[noun]}</p>
      <p>For some days it can be restored, from here or with its id.</p>
      {deletion.error !== null && <Failure error={deletion.error} />}
    </ConfirmDialog>
  );
}
