/** One job: where it is, what happened, what came out. */

import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";

import { jobQuery } from "@/api/queries";
import { Status } from "@/components/marks/Status";
import { PageHead } from "@/components/page/PageHead";
import { QueryState } from "@/components/states/QueryState";
import { Id } from "@/components/text/Id";
import { Time } from "@/components/text/Time";
import { jobTitle, kindTitle, methodTitle } from "@/format/names";

import { Curves } from "./Curves";

export default function JobPage() {
  const { id = "" } = useParams();
  const job = useQuery(jobQuery(id));
  return (
    <QueryState query={job}>
      {(data) => (
        <>
          <PageHead
            title={jobTitle(data)}
            path={[{ label: "Jobs", to: "/jobs" }]}
            here={<Id id={data.id} />}
            status={<Status status={data.status} pill />}
            facts={[
              { label: "Kind", value: kindTitle(data.kind) },
              ...(data.method === null
                ? []
                : [{ label: "Method", value: methodTitle(data.method) }]),
              { label: "Created", value: <Time at={data.created_at} /> },
            ]}
          />
          {data.method !== null && <Curves job={data} />}
        </>
      )}
    </QueryState>
  );
}
