/** Download, evaluate, distill from, delete. */

import type { Model } from "@/api/queries";
import { buttonClass, LinkButton } from "@/components/controls/Button";
import { Icon } from "@/components/marks/Icon";
import { ItemMenu } from "@/components/records/ItemMenu";
import { formatBytes } from "@/format/bytes";

import { contentHref } from "./Files";

interface ActionsProps {
  model: Model;
  canEdit: boolean;
  onRename: (name: string) => Promise<unknown>;
  onDeleted: (model: Model) => void;
}

export function Actions({ model, canEdit, onRename, onDeleted }: ActionsProps) {
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
      {canEdit && <ItemMenu noun="models" item={model} onRename={onRename} onDeleted={onDeleted} />}
    </>
  );
}
