/** Download, rename, delete. */

import type { Dataset } from "@/api/queries";
import { ROOT } from "@/api/root";
import { buttonClass } from "@/components/controls/Button";
import { Icon } from "@/components/marks/Icon";
import { ItemMenu } from "@/components/records/ItemMenu";
import { formatBytes } from "@/format/bytes";

interface ActionsProps {
  dataset: Dataset;
  canEdit: boolean;
  onRename: (name: string) => Promise<unknown>;
  onDeleted: (dataset: Dataset) => void;
}

export function Actions({ dataset, canEdit, onRename, onDeleted }: ActionsProps) {
  const { id, size } = dataset;
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
        <ItemMenu noun="datasets" item={dataset} onRename={onRename} onDeleted={onDeleted} />
      )}
    </>
  );
}
