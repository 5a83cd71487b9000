/** Gives an item another name. */

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { FormDialog } from "../controls/Dialog";
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
    <FormDialog
      title={`Rename ${old}`}
      action="Rename"
      isOpen
      isBusy={rename.isPending}
      whyNot={whyNot}
      onSubmit={() => rename.mutate()}
      onClose={onClose}
    >
      <Field
        label="Name"
        value={name}
        onChange={(event) => setName(event.target.value)}
        error={error}
      />
      {rename.error !== null && error === undefined && <Failure error={rename.error} />}
    </FormDialog>
  );
}
