/** Models: which student do I take under this threat model? */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import { useAddress } from "@/app/address";
import type { Model } from "@/api/queries";
import { useScope } from "@/api/session";
import { DeletedItems } from "@/components/deletion/DeletedItems";
import { Button, LinkButton } from "@/components/controls/Button";
import { Answer } from "@/components/page/answer";
import { PageHead } from "@/components/page/PageHead";
import { Empty, Failure, QueryState } from "@/components/states/QueryState";
import type { Sort } from "@/components/table/columns";

import { allModelsQuery, leaderboardQuery, type Section } from "./data";
import { Filters } from "./Filters";
import { applyFilters, hasText, notMeasured, readFilters, sectionKey, teacherIds } from "./filters";
import { Leaderboard } from "./Leaderboard";
import { lineageOf } from "./lineage";
import { LineageTree } from "./LineageTree";
import { OtherModels } from "./OtherModels";
import { answer } from "./sentences";
import { UploadDialog } from "./upload/UploadDialog";

export default function ModelsPage() {
  const leaderboard = useQuery(leaderboardQuery);
  const pages = useInfiniteQuery(allModelsQuery);
  const [isUploading, setUploading] = useState(false);
  const canSubmit = useScope("submit");
  const models = useMemo(() => pages.data?.pages.flatMap(({ data }) => data), [pages.data]);
  const sections = leaderboard.data?.sections;
  const parts = sections && models ? answer(sections, models.length) : ["\u00a0"];
  return (
    <>
      <PageHead
        title="Models"
        answer={<Answer parts={parts} />}
        actions={canSubmit && <Button onClick={() => setUploading(true)}>Upload</Button>}
      />
      {pages.error !== null && <Failure error={pages.error} onRetry={() => void pages.refetch()} />}
      <QueryState query={leaderboard} rows={8}>
        {(data) => <Content sections={data.sections} models={models} />}
      </QueryState>
      {pages.hasNextPage && (
        <Button onClick={() => void pages.fetchNextPage()} disabled={pages.isFetchingNextPage}>
          Load more models
        </Button>
      )}
      <DeletedItems noun="models" title="Deleted models" />
      {isUploading && <UploadDialog onClose={() => setUploading(false)} />}
    </>
  );
}

interface ContentProps {
  sections: readonly Section[];
  /** Undefined while they are loaded. */
  models: readonly Model[] | undefined;
}

function Content({ sections, models }: ContentProps) {
  const { parameters, set } = useAddress();
  const filters = readFilters(parameters);
  const shown = applyFilters(sections, filters);
  const ranked = new Set(sections.flatMap(({ rows }) => rows.map((row) => row.model_id)));
  const others = (models ?? [])
    .filter(({ id }) => !ranked.has(id))
    .filter((model) => hasText(filters.text, [model.name, model.architecture]));
  if (sections.length === 0 && models?.length === 0) {
    return (
      <Empty action={<LinkButton to="/submit">Start from the digits example</LinkButton>}>
        No models yet. A training publishes its student here.
      </Empty>
    );
  }
  const hasFilter = [...parameters.keys()].length > 0;
  const showsOthers = others.length > 0 && filters.role === "all" && isUnnarrowed(filters);
  return (
    <>
      <Filters sections={sections} values={filters} onChange={set} />
      {shown.length === 0 && !showsOthers && hasFilter && (
        <Empty>No model passes these filters.</Empty>
      )}
      <Rankings sections={sections} shown={shown} models={models ?? []} />
      {showsOthers && (
        <OtherModels models={others} isCut={sections.some(({ has_more: hasMore }) => hasMore)} />
      )}
    </>
  );
}

/** Filters of rankings leave nothing of models that are in none. */
function isUnnarrowed(filters: ReturnType<typeof readFilters>): boolean {
  return [filters.dataset, filters.threat, filters.method, filters.architecture].every(
    (value) => value === "",
  );
}

interface RankingsProps {
  sections: readonly Section[];
  shown: readonly Section[];
  models: readonly Model[];
}

function Rankings({ sections, shown, models }: RankingsProps) {
  const { parameters, set } = useAddress();
  const teachers = useMemo(() => teacherIds(sections), [sections]);
  const names = useMemo(() => new Map(models.map(({ id, name }) => [id, name])), [models]);
  return (
    <>
      {shown.map((section, index) => {
        const whole = sections.find((other) => sectionKey(other) === sectionKey(section));
        return (
          <Leaderboard
            key={sectionKey(section)}
            section={section}
            isFirst={index === 0}
            teachers={teachers}
            missing={notMeasured(whole ?? section, sections, models)}
            sort={readSort(parameters)}
            onSort={({ column, descending }) => set("sort", `${descending ? "-" : ""}${column}`)}
            showsAll={parameters.getAll("all").includes(sectionKey(section))}
            onShowAll={() => set("all", sectionKey(section))}
          />
        );
      })}
      {treesOf(shown, names).map(({ section, trees }) => (
        <LineageTree key={section.dataset_id} section={section} trees={trees} />
      ))}
    </>
  );
}

function readSort(parameters: URLSearchParams): Sort | undefined {
  const sort = parameters.get("sort");
  if (sort === null) return undefined;
  const descending = sort.startsWith("-");
  return { column: descending ? sort.slice(1) : sort, descending };
}

/** One tree a data set: that of its first ranking with students. */
function treesOf(sections: readonly Section[], names: ReadonlyMap<string, string>) {
  const seen = new Set<string>();
  return sections.flatMap((section) => {
    const trees = lineageOf(section, names);
    if (trees.length === 0 || seen.has(section.dataset_id)) return [];
    seen.add(section.dataset_id);
    return [{ section, trees }];
  });
}
