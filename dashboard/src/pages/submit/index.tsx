/** Submit: what will run, and what does it cost? */

import { PageHead } from "@/components/page/PageHead";
import { Empty } from "@/components/states/QueryState";

export default function SubmitPage() {
  return (
    <>
      <PageHead title="New job" />
      <Empty>
        <span className="mono">distill submit docs/examples/digits-teacher.yaml --watch</span>{" "}
        submits a first job from the command line.
      </Empty>
    </>
  );
}
