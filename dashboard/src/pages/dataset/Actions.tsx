/** Download, rename, delete. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import type { Dataset } from "@/api/queries";
import { ROOT } from "@/api/root";
import { buttonClass } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { Menu } from "@/components/controls/Menu";
import { Icon } from "@/components/marks/Icon";
import { RenameDialog } from "@/components/records/RenameDialog";
import { Failure } from "@/components/states/QueryState";
import { formatBytes } from "@/format/bytes";

interface ActionsProps {
  dataset: Dataset;
  canEdit: boolean;
  onRename: (name: string) => Promise<unknown>;
  onDeleted: (dataset: Dataset) => void;
}

export function Actions({ dataset, canEdit, onRename, onDeleted }: ActionsProps) {
  const [dialog, setDialog] = useState<"delete" | "rename">();
  const close = () => setDialog(undefined);
  const { id, name, size } = dataset;
  return (
    <>
      {size !== null && (
        <a
          className={buttonClass()}
          href={`${ROOT}/v1/datasets/${encodeURIComponent(id)}/content`}
          download
        >
          <Icon name="download" />
          Download, {formatBytes(size)}
        </a>
      )}
      {canEdit && (
        <Menu
          label="More actions"
          actions={[
            { id: "rename", label: "Rename", onAction: () => setDialog("rename") },
            { id: "delete", label: "Delete", isDanger: true, onAction: () => setDialog("delete") },
          ]}
        >
          <Icon name="more" />
        </Menu>
      )}
      {dialog === "rename" && <RenameDialog name={name} onRename={onRename} onClose={close} />}
      {dialog === "delete" && (
        <DeleteDialog dataset={dataset} onDeleted={onDeleted} onClose={close} />
      )}
    </>
  );
}

interface DeleteProps {
  dataset: Dataset;
  onDeleted: (dataset: Dataset) => void;
  onClose: () => void;
}

function DeleteDialog({ dataset, onDeleted, onClose }: DeleteProps) {
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () =>
      unwrap(
        api.DELETE("/v1/datasets/{reference}", { params: { path: { reference: dataset.id } } }),
      ) as Promise<Dataset>,
    onSuccess: (deleted) => {
      onDeleted(deleted);
      void client.invalidateQueries({ queryKey: ["datasets", "list"] });
    },
  });
  return (
    <ConfirmDialog
      title={`Delete ${dataset.name}?`}
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
