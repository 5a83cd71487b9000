/** Download, rename, delete. */

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import type { Dataset } from "@/api/queries";
import { ROOT } from "@/api/root";
import { buttonClass } from "@/components/controls/Button";
import { Menu } from "@/components/controls/Menu";
import { Icon } from "@/components/marks/Icon";
import { DeleteDialog } from "@/components/deletion/DeleteDialog";
import { RenameDialog } from "@/components/records/RenameDialog";
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
  const remove = useDelete(dataset, onDeleted);
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
      {dialog === "delete" && <DeleteDialog name={name} onDelete={remove} onClose={close} />}
    </>
  );
}

function useDelete({ id }: Dataset, onDeleted: (dataset: Dataset) => void) {
  const client = useQueryClient();
  return async () => {
    const params = { path: { reference: id } };
    const deletion = unwrap(api.DELETE("/v1/datasets/{reference}", { params })) as Promise<Dataset>;
    onDeleted(await deletion);
    void client.invalidateQueries({ queryKey: ["datasets", "list"] });
  };
}
