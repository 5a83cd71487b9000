/** What stands where an item stood that was deleted from here: the way back. */

import { useMutation } from "@tanstack/react-query";
import { Link } from "react-router";

import { Button } from "../controls/Button";
import { PageHead } from "../page/PageHead";
import { Failure } from "../states/QueryState";

interface DeletedProps {
  name: string;
  list: { label: string; to: string };
  onRestore: () => Promise<unknown>;
}

export function Deleted({ name, list, onRestore }: DeletedProps) {
  const restore = useMutation({ mutationFn: onRestore });
  return (
    <>
      <PageHead
        title={name}
        path={[list]}
        answer="Deleted. Its file is kept for some days; until then it can be restored."
        actions={
          <Button kind="primary" onClick={() => restore.mutate()} disabled={restore.isPending}>
            Restore
          </Button>
        }
      />
      {restore.error !== null && <Failure error={restore.error} />}
      <p>
        <Link to={list.to}>All {list.label.toLowerCase()}</Link>
      </p>
    </>
  );
}
