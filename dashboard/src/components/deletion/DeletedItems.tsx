/** The end of a list: what was deleted from it, and the way back. Nothing where nothing was. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { deletedQuery, restore, type DeletableNoun, type DeletedItem } from "@/api/deleted";
import { useService } from "@/api/service";
import { useScope } from "@/api/session";
import { plural } from "@/format/numbers";

import { Button } from "../controls/Button";
import { Section } from "../page/Section";
import { Failure } from "../states/QueryState";
import type { Column } from "../table/columns";
import { DataTable } from "../table/DataTable";
import { Id } from "../text/Id";
import { Age } from "../text/Time";

interface DeletedItemsProps {
  noun: DeletableNoun;
  /** "Deleted jobs". */
  title: string;
}

export function DeletedItems({ noun, title }: DeletedItemsProps) {
  const client = useQueryClient();
  const canRestore = useScope("submit");
  const days = useService()?.restore_days;
  const rows = useQuery(deletedQuery(noun)).data ?? [];
  const restoration = useMutation({
    mutationFn: (id: string) => restore(noun, id),
    onSuccess: () => client.invalidateQueries({ queryKey: [noun] }),
  });
  if (rows.length === 0) return null;
  const note = days === undefined ? "" : `can be restored for ${plural(days, "day")}`;
  return (
    <Section title={title} note={note}>
      {restoration.error !== null && <Failure error={restoration.error} />}
      <DataTable
        label={title}
        rows={rows}
        columns={columnsWith(
          canRestore ? (id) => restoration.mutate(id) : undefined,
          restoration.isPending,
        )}
        rowId={({ id }) => id}
      />
    </Section>
  );
}

function columnsWith(
  onRestore: ((id: string) => void) | undefined,
  isBusy: boolean,
): Column<DeletedItem>[] {
  return [
    { id: "name", title: "Name", isRowHead: true, cell: ({ id, name }) => name ?? id },
    { id: "id", title: "Id", hide: "phone", cell: ({ id }) => <Id id={id} /> },
    {
      id: "deleted",
      title: "Deleted",
      kind: "number",
      cell: ({ deleted_at: at }) => at != null && <Age at={at} />,
    },
    {
      id: "restore",
      title: <span className="vh">Action</span>,
      kind: "number",
      cell: ({ id, name }) =>
        onRestore !== undefined && (
          <Button
            onClick={() => onRestore(id)}
            disabled={isBusy}
            aria-label={`Restore ${name ?? id}`}
          >
            Restore
          </Button>
        ),
    },
  ];
}
