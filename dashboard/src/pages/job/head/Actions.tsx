/** The buttons beside the title. The only filled one is the likely next step. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import type { Job } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { ROOT } from "@/api/root";
import { useScope } from "@/api/session";
import { Button, buttonClass, LinkButton } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { DeleteDialog } from "@/components/deletion/DeleteDialog";
import { Icon } from "@/components/marks/Icon";
import { Failure } from "@/components/states/QueryState";
import { jobTitle } from "@/format/names";

import { changesOf, type Change } from "./actions";

const VERBS: Record<Change, string> = {
  pause: "Pause",
  resume: "Resume",
  cancel: "Cancel",
  retry: "Retry",
  delete: "Delete",
};

interface ActionsProps {
  job: Job;
  onDeleted: (job: Job) => void;
}

export function Actions({ job, onDeleted }: ActionsProps) {
  const maySubmit = useScope("submit");
  const [dialog, setDialog] = useState<"cancel" | "delete">();
  const close = () => setDialog(undefined);
  const change = useChange(job);
  const isImport = job.kind.startsWith("import_");
  const press = (name: Change) =>
    name === "cancel" || name === "delete" ? setDialog(name) : change.mutate(name);
  return (
    <>
      {maySubmit && <ChangeButtons job={job} only={["pause", "resume", "retry"]} onPress={press} />}
      {maySubmit && !isImport && (
        <LinkButton
          to={`/submit?clone=${encodeURIComponent(job.id)}`}
          kind={job.status === "failed" ? "primary" : "default"}
        >
          {job.status === "failed" ? "Retry with changes" : "Clone"}
        </LinkButton>
      )}
      {job.status === "succeeded" && !isImport && (
        <LinkButton to={comparisonOf(job)}>Compare</LinkButton>
      )}
      {maySubmit && <ChangeButtons job={job} only={["cancel", "delete"]} onPress={press} />}
      {job.model_id !== null && <Weights id={job.id} />}
      {change.error !== null && <Failure error={change.error} />}
      {dialog === "cancel" && <CancelDialog job={job} onClose={close} />}
      {dialog === "delete" && (
        <DeleteDialog
          noun="jobs"
          item={job}
          name={`${jobTitle(job)} and its files`}
          onDeleted={onDeleted}
          onClose={close}
        />
      )}
    </>
  );
}

/** A clone beside its original; any other job ticked in the list, where the others are chosen. */
function comparisonOf({ id, cloned_from: original }: Job): string {
  return original === null
    ? `/jobs?status=succeeded&selected=${encodeURIComponent(id)}`
    : `/compare?jobs=${original},${id}`;
}

interface ChangeButtonsProps {
  job: Job;
  only: readonly Change[];
  onPress: (change: Change) => void;
}

function ChangeButtons({ job, only, onPress }: ChangeButtonsProps) {
  const changes = changesOf(job).filter((name) => only.includes(name));
  return changes.map((name) => (
    <Button key={name} kind={kindOf(name)} onClick={() => onPress(name)}>
      {VERBS[name]}
    </Button>
  ));
}

function kindOf(change: Change) {
  if (change === "resume") return "primary";
  return change === "cancel" || change === "delete" ? "danger" : "default";
}

/** The likely next step of a training that has succeeded. */
function Weights({ id }: { id: string }) {
  const file = `${ROOT}/v1/jobs/${encodeURIComponent(id)}/artifacts/best.safetensors`;
  return (
    <a className={buttonClass("primary")} href={file} download>
      <Icon name="download" />
      Weights
    </a>
  );
}

function useChange(job: Job) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (change: Exclude<Change, "delete">) => requestChange(job.id, change),
    onSuccess: (changed) => {
      client.setQueryData(queryKeys.item("jobs", job.id, "job"), changed);
      void client.invalidateQueries({ queryKey: queryKeys.list("jobs") });
    },
  });
}

/** Throws ApiProblem. */
async function requestChange(id: string, change: Exclude<Change, "delete">): Promise<Job> {
  // The client's own type of the body loses the length of tuples.
  return (await send(id, change)) as Job;
}

function send(id: string, change: Exclude<Change, "delete">): Promise<unknown> {
  const init = { params: { path: { job_id: id } } };
  switch (change) {
    case "pause":
      return unwrap(api.POST("/v1/jobs/{job_id}/pause", init));
    case "resume":
      return unwrap(api.POST("/v1/jobs/{job_id}/resume", init));
    case "cancel":
      return unwrap(api.POST("/v1/jobs/{job_id}/cancel", init));
    case "retry":
      return unwrap(api.POST("/v1/jobs/{job_id}/retry", init));
  }
}

interface CancelProps {
  job: Job;
  onClose: () => void;
}

function CancelDialog({ job, onClose }: CancelProps) {
  const change = useChange(job);
  return (
    <ConfirmDialog
      title={`Cancel ${jobTitle(job)}?`}
      action="Cancel the job"
      isOpen
      isBusy={change.isPending}
      onClose={onClose}
      onConfirm={() => change.mutate("cancel", { onSuccess: onClose })}
    >
      <p>
        It ends at its next step. What it has measured and its checkpoints stay, and it can be tried
        again.
      </p>
      {change.error !== null && <Failure error={change.error} />}
    </ConfirmDialog>
  );
}
