/** Asks before a model or a data set is deleted. */

import { useMutation } from "@tanstack/react-query";

import { ConfirmDialog } from "../controls/Dialog";
import { Failure } from "../states/QueryState";

interface DeleteProps {
  name: string;
  onDelete: () => Promise<unknown>;
  onClose: () => void;
}

export function DeleteDialog({ name, onDelete, onClose }: DeleteProps) {
  const remove = useMutation({ mutationFn: onDelete });
  return (
    <ConfirmDialog
      title={`Delete ${name}?`}
      action="Delete"
      isOpen
      isBusy={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <p>Its name becomes free. Jobs that have used it keep their results.</p>
      <p>For some days it can be restored, from here or with its id.</p>
      {remove.error !== null && <Failure error={remove.error} />}
    </ConfirmDialog>
  );
}
