/** Operate: is the service well, who may use it, and what was done? By scope. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";

import { workersQuery } from "@/api/queries";
import { useScope, useSession } from "@/api/session";
import { useNow } from "@/app/clock";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { Column, Columns, Note } from "@/components/page/Section";

import { Audit } from "./access/Audit";
import { Keys } from "./access/Keys";
import { Projects } from "./access/Projects";
import { Sessions } from "./access/Sessions";
import { keysQuery, readinessQuery } from "./data";
import { answer, hiddenSections } from "./sentences";
import { Health } from "./Health";
import { StorageByKind } from "./StorageByKind";
import { Workers } from "./Workers";

export default function OperatePage() {
  const isOperator = useScope("operator");
  const isAdmin = useScope("admin");
  const hidden = hiddenSections(useSession()?.scopes ?? []);
  return (
    <>
      <PageHead title="Operate" answer={<AnswerLine isAdmin={isAdmin} isOperator={isOperator} />} />
      {isOperator && <Workers />}
      {isAdmin && <Keys />}
      <Sessions />
      {isOperator && <Projects />}
      {isAdmin && <Audit />}
      <Columns>
        <Column span={7}>
          <StorageByKind />
        </Column>
        <Column span={5}>
          <Health />
        </Column>
      </Columns>
      {hidden !== undefined && <Note>{hidden}</Note>}
    </>
  );
}

function AnswerLine({ isAdmin, isOperator }: { isAdmin: boolean; isOperator: boolean }) {
  const now = useNow();
  const workers = useQuery({ ...workersQuery(), enabled: isOperator }).data?.data;
  const keys = useInfiniteQuery({ ...keysQuery, enabled: isAdmin }).data;
  const readiness = useQuery(readinessQuery);
  const parts = answer({
    now,
    workers,
    keys: keys?.pages.flatMap((page) => page.data),
    isReady: readiness.isPending ? undefined : readiness.isSuccess,
  });
  return parts.length === 0 ? "\u00a0" : <Answer parts={parts} />;
}
