import { LinkButton } from "@/components/controls/Button";
import { PageHead } from "@/components/page/PageHead";
import { Empty } from "@/components/states/QueryState";

/** For addresses without a page. */
export function NotFound() {
  return (
    <>
      <PageHead title="Not found" />
      <Empty action={<LinkButton to="/">Go to the overview</LinkButton>}>
        There is no page at this address. What was here may have been deleted, or belongs to another
        project.
      </Empty>
    </>
  );
}
