/** Download, evaluate, distill from, delete. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import type { Model } from "@/api/queries";
import { buttonClass, LinkButton } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { Menu } from "@/components/controls/Menu";
import { Icon } from "@/components/marks/Icon";
import { RenameDialog } from "@/components/records/RenameDialog";
import { Failure } from "@/components/states/QueryState";
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
        <RenameDialog name={model.name} onRename={onRename} onClose={() => setDialog(undefined)} />
      )}
      {dialog === "delete" && (
        <DeleteDialog model={model} onDeleted={onDeleted} onClose={() => setDialog(undefined)} />
      )}
    </>
  );
}

interface DeleteProps {
  model: Model;
  onDeleted: (model: Model) => void;
  onClose: () => void;
}

function DeleteDialog({ model, onDeleted, onClose }: DeleteProps) {
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () =>
      unwrap(
        api.DELETE("/v1/models/{reference}", { params: { path: { reference: model.id } } }),
      ) as Promise<Model>,
    onSuccess: (deleted) => {
      onDeleted(deleted);
      void client.invalidateQueries({ queryKey: ["models", "list"] });
      void client.invalidateQueries({ queryKey: ["jobs", "list"] });
    },
  });
  return (
    <ConfirmDialog
      title={`Delete ${model.name}?`}
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
