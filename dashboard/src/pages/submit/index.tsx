/** Submit: what will run, and what does it cost? */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useSearchParams } from "react-router";

import { Button } from "@/components/controls/Button";
import { PageHead } from "@/components/page/PageHead";
import { QueryState } from "@/components/states/QueryState";

import { jobSchemaQuery } from "./spec/queries";
import { StartDialog } from "./start/StartDialog";
import { useStart } from "./start/start";
import { Workbench } from "./Workbench";

export default function SubmitPage() {
  const [parameters] = useSearchParams();
  const [isChoosing, setChoosing] = useState(false);
  const start = useStart(parameters);
  const schema = useQuery(jobSchemaQuery);
  const search = parameters.toString();
  // Not while the page is loading: the form brings a button of its own, and a dialog that was opened
  // by this one could not give the focus back to it.
  const isLoading = !schema.isError && !start.isError && (!schema.data || !start.data);
  const choose = (
    <Button onClick={() => setChoosing(true)} disabled={isLoading}>
      Start from an example
    </Button>
  );
  return (
    <>
      {start.data !== undefined && schema.data !== undefined ? (
        <Workbench
          key={search}
          search={search}
          start={start.data}
          schema={schema.data}
          choose={choose}
        />
      ) : (
        <>
          <PageHead title="New job" actions={choose} />
          {schema.isError && <QueryState query={schema}>{() => null}</QueryState>}
          <QueryState query={start} rows={8}>
            {() => null}
          </QueryState>
        </>
      )}
      <StartDialog isOpen={isChoosing} onClose={() => setChoosing(false)} />
    </>
  );
}
