/** Download, rename, delete. */

import { useState } from "react";

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
        <DeleteDialog
          noun="datasets"
          item={dataset}
          name={dataset.name}
          onDeleted={onDeleted}
          onClose={close}
        />
      )}
    </>
  );
}
