/** Download, evaluate, distill from, delete. */

import { useState } from "react";

import type { Model } from "@/api/queries";
import { buttonClass, LinkButton } from "@/components/controls/Button";
import { Menu } from "@/components/controls/Menu";
import { Icon } from "@/components/marks/Icon";
import { DeleteDialog } from "@/components/deletion/DeleteDialog";
import { RenameDialog } from "@/components/records/RenameDialog";
import { formatBytes } from "@/format/bytes";

import { contentHref } from "./Files";

interface ActionsProps {
  model: Model;
  canEdit: boolean;
  onRename: (name: string) => Promise<unknown>;
  onDeleted: (model: Model) => void;
}

export function Actions({ model, canEdit, onRename, onDeleted }: ActionsProps) {
  const [dialog, setDialog] = useState<"delete" | "rename">();
  const close = () => setDialog(undefined);
  const isReady = model.status === "ready";
  return (
    <>
      {isReady && (
        <a className={buttonClass("primary")} href={contentHref(model)} download>
          <Icon name="download" />
          Weights{model.size !== null && `, ${formatBytes(model.size)}`}
        </a>
      )}
      {isReady && canEdit && <LinkButton to={`/submit?evaluate=${model.id}`}>Evaluate</LinkButton>}
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
      {dialog === "rename" && (
        <RenameDialog name={model.name} onRename={onRename} onClose={close} />
      )}
      {dialog === "delete" && (
        <DeleteDialog
          noun="models"
          item={model}
          name={model.name}
          onDeleted={onDeleted}
          onClose={close}
        />
      )}
    </>
  );
}
