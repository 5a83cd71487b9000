/** One sweep: which setting mattered, and what is missing? */

import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { Link, useParams } from "react-router";

import { useAddress } from "@/app/address";
import { useScope } from "@/api/session";
import { Meter } from "@/components/marks/Meter";
import { Answer } from "@/components/page/answer";
import { PageItem } from "@/components/page/PageItem";
import { PageHead, type Fact } from "@/components/page/PageHead";
import { Section } from "@/components/page/Section";
import { Code } from "@/components/records/Code";
import { QueryState } from "@/components/states/QueryState";
import { Id } from "@/components/text/Id";
import { Time } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

import { endedCount, progressText, sweepTitle } from "../sweeps/sentences";
import { Actions } from "./Actions";
import { AxisCurves } from "./AxisCurves";
import {
  sweepJobsQuery,
  sweepQuery,
  tableQuery,
  type Network,
  type SweepDetail,
  type Table,
} from "./data";
import { Missing } from "./Missing";
import { ResultTable } from "./ResultTable";
import { answer } from "./sentences";

export default function SweepPage() {
  const { id = "" } = useParams();
  const sweep = useQuery(sweepQuery(id));
  return <PageItem query={sweep}>{(data) => <Content sweep={data} />}</PageItem>;
}

function Content({ sweep }: { sweep: SweepDetail }) {
  const { parameters } = useAddress();
  const network = parameters.get("network") === "last" ? "last" : "best";
  const table = useQuery(tableQuery(sweep.id, network));
  const jobs = useQuery(sweepJobsQuery(sweep.id));
  const canEdit = useScope("submit");
  return (
    <>
      <PageHead
        title={sweepTitle(sweep)}
        path={[{ label: "Sweeps", to: "/sweeps" }]}
        here={<Id id={sweep.id} />}
        answer={<Answer parts={answer(sweep, table.data)} />}
        facts={factsOf(sweep)}
        actions={
          <Actions sweep={sweep} jobs={jobs.data ?? []} network={network} canEdit={canEdit} />
        }
      />
      {!sweep.terminal && (
        <Meter value={endedCount(sweep)} max={sweep.size} label={progressText(sweep)} />
      )}
      <Results sweep={sweep} table={table} network={network} />
      <QueryState query={jobs}>{(data) => <Missing jobs={data} canEdit={canEdit} />}</QueryState>
      <Section title="As submitted" note="the specs of its jobs have all defaults resolved">
        <details>
          <summary>Base, rows and axes</summary>
          <Code label="Submitted sweep" text={JSON.stringify(sweep.spec, null, 2)} />
        </details>
      </Section>
    </>
  );
}

interface ResultsProps {
  sweep: SweepDetail;
  table: UseQueryResult<Table>;
  network: Network;
}

function Results({ sweep, table, network }: ResultsProps) {
  const { set } = useAddress();
  const choose = (value: Network) => set("network", value === "best" ? "" : value);
  return (
    <QueryState query={table} rows={6}>
      {(data) => (
        <>
          <ResultTable table={data} network={network} onNetwork={choose} />
          <AxisCurves sweep={sweep} table={data} />
        </>
      )}
    </QueryState>
  );
}

function factsOf(sweep: SweepDetail): Fact[] {
  const axes = Object.entries(sweep.spec.axes ?? {});
  return [
    {
      label: "Jobs",
      value: (
        <Link to={`/jobs?sweep=${encodeURIComponent(sweep.id)}`}>{formatNumber(sweep.size)}</Link>
      ),
    },
    ...axes.map(([path, values]) => ({
      label: path,
      value: `${formatNumber(values.length)} values`,
    })),
    { label: "Created", value: <Time at={sweep.created_at} /> },
  ];
}
