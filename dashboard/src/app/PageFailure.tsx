import { useRouteError } from "react-router";

import { PageHead } from "@/components/page/PageHead";
import { Failure } from "@/components/states/QueryState";

/** In place of a page that has thrown; the rest stays usable. */
export function PageFailure() {
  const error = useRouteError();
  const cause = error instanceof Error ? error : new Error("This page could not be shown.");
  return (
    <>
      <PageHead title="This page failed" />
      <Failure error={cause} onRetry={() => window.location.reload()} />
    </>
  );
}
