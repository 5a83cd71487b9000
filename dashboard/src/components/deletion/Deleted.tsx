/** What stands where an item stood that was deleted from here: the way back. */

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { restore, type DeletableNoun } from "@/api/deleted";

import { Button, LinkButton } from "../controls/Button";
import { PageHead } from "../page/PageHead";
import { Failure } from "../states/QueryState";
import { Id } from "../text/Id";

interface DeletedProps {
  noun: DeletableNoun;
  id: string;
  name: string;
  list: { label: string; to: string };
  onRestored: () => void;
}

export function Deleted({ noun, id, name, list, onRestored }: DeletedProps) {
  const client = useQueryClient();
  const restoration = useMutation({
    mutationFn: () => restore(noun, id),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: [noun] });
      onRestored();
    },
  });
  return (
    <>
      <PageHead
        title={name}
        path={[list]}
        here={<Id id={id} />}
        answer="Deleted, with its files. It can be restored until it is cleared away for good."
        actions={
          <>
            <LinkButton to={list.to}>All {list.label.toLowerCase()}</LinkButton>
            <Button
              kind="primary"
              onClick={() => restoration.mutate()}
              disabled={restoration.isPending}
            >
              Restore
            </Button>
          </>
        }
      />
      {restoration.error !== null && <Failure error={restoration.error} />}
    </>
  );
}
