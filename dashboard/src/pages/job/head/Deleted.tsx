/** After a deletion: where it was, and the way back. */

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, unwrap } from "@/api/client";
import type { Job } from "@/api/queries";
import { queryKeys } from "@/api/query_keys";
import { Button, LinkButton } from "@/components/controls/Button";
import { PageHead } from "@/components/page/PageHead";
import { Failure } from "@/components/states/QueryState";
import { Id } from "@/components/text/Id";
import { jobTitle } from "@/format/names";

export function Deleted({ job, onRestored }: { job: Job; onRestored: () => void }) {
  const client = useQueryClient();
  const restore = useMutation({
    mutationFn: () =>
      unwrap(api.POST("/v1/jobs/{job_id}/restore", { params: { path: { job_id: job.id } } })),
    onSuccess: (restored) => {
      client.setQueryData(queryKeys.item("jobs", job.id, "job"), restored);
      onRestored();
    },
  });
  return (
    <>
      <PageHead
        title={jobTitle(job)}
        path={[{ label: "Jobs", to: "/jobs" }]}
        here={<Id id={job.id} />}
        answer="Deleted, with its files. It can be restored until it is cleared away for good."
        actions={
          <>
            <LinkButton to="/jobs">All jobs</LinkButton>
            <Button kind="primary" onClick={() => restore.mutate()} disabled={restore.isPending}>
              Restore
            </Button>
          </>
        }
      />
      {restore.error !== null && <Failure error={restore.error} />}
    </>
  );
}
