/** Compare all, the table as a file, cancel what has not ended. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import type { JobSummary } from "@/api/queries";
import { ROOT } from "@/api/root";
import { Button, LinkButton } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { Menu } from "@/components/controls/Menu";
import { Failure } from "@/components/states/QueryState";
import { plural } from "@/format/numbers";

import { endedCount, sweepTitle } from "../sweeps/sentences";
import type { Network, SweepDetail } from "./data";

interface ActionsProps {
  sweep: SweepDetail;
  jobs: readonly JobSummary[];
  network: Network;
  canEdit: boolean;
}

const FORMATS = [
  { id: "csv", label: "Table as CSV" },
  { id: "md", label: "Table as Markdown" },
  { id: "tex", label: "Table as LaTeX" },
];

export function Actions({ sweep, jobs, network, canEdit }: ActionsProps) {
  const [isCancelling, setCancelling] = useState(false);
  const done = jobs.filter(({ status }) => status === "succeeded").map(({ id }) => id);
  const table = `${ROOT}/v1/sweeps/${encodeURIComponent(sweep.id)}/table?network=${network}`;
  return (
    <>
      {done.length > 1 && (
        <LinkButton kind="primary" to={`/compare?jobs=${done.join(",")}`}>
          Compare {plural(done.length, "job")}
        </LinkButton>
      )}
      <Menu
        actions={FORMATS.map(({ id, label }) => ({
          id,
          label,
          onAction: () => download(`${table}&format=${id}`),
        }))}
      >
        Export
      </Menu>
      {canEdit && !sweep.terminal && <Button onClick={() => setCancelling(true)}>Cancel</Button>}
      {isCancelling && <CancelDialog sweep={sweep} onClose={() => setCancelling(false)} />}
    </>
  );
}

/** Tables are sent to be shown; a person wants a file. */
function download(href: string): void {
  const link = document.createElement("a");
  link.href = href;
  link.download = "";
  link.click();
}

function CancelDialog({ sweep, onClose }: { sweep: SweepDetail; onClose: () => void }) {
  const client = useQueryClient();
  const cancel = useMutation({
    mutationFn: () =>
      unwrap(
        api.POST("/v1/sweeps/{sweep_id}/cancel", { params: { path: { sweep_id: sweep.id } } }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["sweeps"] });
      onClose();
    },
  });
  const open = plural(sweep.size - endedCount(sweep), "job");
  return (
    <ConfirmDialog
      title={`Cancel ${open} of ${sweepTitle(sweep)}?`}
      action={`Cancel ${open}`}
      isOpen
      isBusy={cancel.isPending}
      onConfirm={() => cancel.mutate()}
      onClose={onClose}
    >
      <p>What has ended keeps its results. A cancelled job can be retried from its checkpoint.</p>
      {cancel.error !== null && <Failure error={cancel.error} />}
    </ConfirmDialog>
  );
}
