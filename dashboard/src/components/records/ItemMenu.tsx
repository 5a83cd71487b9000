/** What can be done with a model as with a data set: rename, delete. */

import { useState } from "react";

import { Menu } from "../controls/Menu";
import { DeleteDialog } from "../deletion/DeleteDialog";
import { Icon } from "../marks/Icon";
import { RenameDialog } from "./RenameDialog";

interface ItemMenuProps<Item> {
  noun: "models" | "datasets";
  item: Item;
  onRename: (name: string) => Promise<unknown>;
  onDeleted: (item: Item) => void;
}

export function ItemMenu<Item extends { id: string; name: string }>(props: ItemMenuProps<Item>) {
  const { noun, item, onRename, onDeleted } = props;
  const [dialog, setDialog] = useState<"delete" | "rename">();
  const close = () => setDialog(undefined);
  return (
    <>
      <Menu
        label="More actions"
        actions={[
          { id: "rename", label: "Rename", onAction: () => setDialog("rename") },
          { id: "delete", label: "Delete", isDanger: true, onAction: () => setDialog("delete") },
        ]}
      >
        <Icon name="more" />
      </Menu>
      {dialog === "rename" && <RenameDialog name={item.name} onRename={onRename} onClose={close} />}
      {dialog === "delete" && (
        <DeleteDialog {...{ noun, item, onDeleted }} name={item.name} onClose={close} />
      )}
    </>
  );
}
