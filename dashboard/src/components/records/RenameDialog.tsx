/** Gives an item another name. */

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { Button } from "../controls/Button";
import { Dialog } from "../controls/Dialog";
import { Field } from "../controls/Field";
import { Failure } from "../states/QueryState";
import { fieldError } from "./versioned";

interface RenameProps {
  name: string;
  onRename: (name: string) => Promise<unknown>;
  onClose: () => void;
}

export function RenameDialog({ name: old, onRename, onClose }: RenameProps) {
  const [name, setName] = useState(old);
  const rename = useMutation({ mutationFn: () => onRename(name), onSuccess: onClose });
  const error = fieldError(rename.error, "name");
  const whyNot = name.trim() === "" ? "Write a name first." : undefined;
  return (
    <Dialog
      title={`Rename ${old}`}
      isOpen
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button
            kind="primary"
            onClick={() => rename.mutate()}
            whyNot={whyNot}
            disabled={rename.isPending}
          >
            Rename
          </Button>
        </>
      }
    >
      <Field
        label="Name"
        value={name}
        onChange={(event) => setName(event.target.value)}
        error={error}
      />
      {rename.error !== null && error === undefined && <Failure error={rename.error} />}
    </Dialog>
  );
}
