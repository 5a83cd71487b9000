/** Compare: is the difference real, and which setting made it? */

import { Link, useSearchParams } from "react-router";

import { PageHead } from "@/components/page/PageHead";
import { Empty } from "@/components/states/QueryState";

export default function ComparePage() {
  const [parameters] = useSearchParams();
  const ids = parameters.getAll("job");
  return (
    <>
      <PageHead title="Compare" />
      {ids.length < 2 && (
        <Empty action={<Link to="/jobs">Choose jobs</Link>}>
          Nothing to compare yet. Select two or more jobs, then press Compare.
        </Empty>
      )}
    </>
  );
}
