/** One model: how robust it is, where it comes from, and its weights. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useParams } from "react-router";

import { api, unwrap } from "@/api/client";
import { datasetsQuery, LARGEST_PAGE, type Model } from "@/api/queries";
import { useScope } from "@/api/session";
import { Answer } from "@/components/page/answer";
import { PageItem } from "@/components/page/PageItem";
import { PageHead, type Fact } from "@/components/page/PageHead";
import { Annotations, type AnnotationPatch } from "@/components/records/Annotations";
import { Deleted } from "@/components/deletion/Deleted";
import { ItemStatus } from "@/components/records/ItemStatus";
import { ifMatch } from "@/components/records/versioned";
import { Loading } from "@/components/states/QueryState";
import { useIsOpening } from "@/components/states/useIsOpening";
import { Id } from "@/components/text/Id";
import { Time } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

import { Actions } from "./Actions";
import { Aliases } from "./Aliases";
import { lineageQuery, modelQuery, versionsQuery, type VersionedModel } from "./data";
import { Files } from "./Files";
import { ImportReport } from "./ImportReport";
import { Lineage } from "./Lineage";
import { Results } from "./Results";
import { answer } from "./sentences";
import { Versions } from "./Versions";

const LIST = { label: "Models", to: "/models" };

export default function ModelPage() {
  const { id = "" } = useParams();
  const [deleted, setDeleted] = useState<Model>();
  const model = useQuery({ ...modelQuery(id), enabled: deleted === undefined });
  if (deleted !== undefined) {
    const { id: deletedId, name } = deleted;
    const onRestored = () => setDeleted(undefined);
    return <Deleted noun="models" id={deletedId} name={name} list={LIST} onRestored={onRestored} />;
  }
  return (
    <PageItem query={model}>
      {(versioned) => <Content versioned={versioned} onDeleted={setDeleted} />}
    </PageItem>
  );
}

interface ContentProps {
  versioned: VersionedModel;
  onDeleted: (model: Model) => void;
}

function Content({ versioned, onDeleted }: ContentProps) {
  const model = versioned.item;
  const canEdit = useScope("submit");
  const lineage = useQuery(lineageQuery(model.id));
  const names = useDatasetNames();
  const isOpening = useIsOpening(lineage, useQuery(versionsQuery(model.series)));
  const { edit, refresh } = useEdit(versioned);
  if (isOpening) return <Loading rows={8} />;
  return (
    <>
      <PageHead
        title={model.name}
        path={[LIST]}
        here={<Id id={model.id} />}
        status={<ItemStatus status={model.status} pill />}
        answer={<Answer parts={answer(model, lineage.data)} />}
        facts={factsOf(model, canEdit)}
        actions={
          <Actions
            model={model}
            canEdit={canEdit}
            onRename={(name) => edit({ name })}
            onDeleted={onDeleted}
          />
        }
      />
      <ModelSections model={model} datasets={names} />
      <Annotations
        notes={model.notes}
        metadata={model.metadata}
        canEdit={canEdit}
        onSave={edit}
        onOutdated={() => void refresh()}
      />
    </>
  );
}

interface ModelSectionsProps {
  model: Model;
  datasets: ReadonlyMap<string, string>;
}

function ModelSections({ model, datasets }: ModelSectionsProps) {
  if (model.status !== "ready") return <ImportReport model={model} />;
  return (
    <>
      <Results model={model} datasets={datasets} />
      <Versions model={model} />
      <Lineage id={model.id} />
      <Files model={model} />
      <ImportReport model={model} />
    </>
  );
}

function useDatasetNames(): ReadonlyMap<string, string> {
  const datasets = useQuery(datasetsQuery({ limit: LARGEST_PAGE }));
  return useMemo(
    () => new Map(datasets.data?.data.map(({ id, name }) => [id, name])),
    [datasets.data],
  );
}

/** Changes depend on nobody having changed the model since it was shown. */
function useEdit(versioned: VersionedModel) {
  const client = useQueryClient();
  const refresh = () => client.invalidateQueries({ queryKey: ["models"] });
  const edit = async (body: AnnotationPatch & { name?: string }) => {
    const path = { reference: versioned.item.id };
    const params = { path, header: ifMatch(versioned) };
    await unwrap(api.PATCH("/v1/models/{reference}", { params, body }));
    await refresh();
  };
  return { edit, refresh };
}

function factsOf(model: Model, canEdit: boolean): Fact[] {
  const { series, series_version: version, description, parameters, source_job_id: job } = model;
  const { channels, height, width, classes } = description;
  return [
    {
      label: "Version",
      value: <span className="mono">{version === null ? series : `${series}@${version}`}</span>,
    },
    ...(version === null
      ? []
      : [{ label: "Aliases", value: <Aliases model={model} canEdit={canEdit} /> }]),
    { label: "Architecture", value: <span className="mono">{model.architecture}</span> },
    ...(parameters === null ? [] : [{ label: "Parameters", value: formatNumber(parameters) }]),
    { label: "Images", value: `${channels} × ${height} × ${width}` },
    { label: "Classes", value: formatNumber(classes) },
    ...(job === null
      ? []
      : [
          {
            label: "Trained by",
            value: (
              <Link to={`/jobs/${job}`}>
                <Id id={job} />
              </Link>
            ),
          },
        ]),
    { label: "Created", value: <Time at={model.created_at} /> },
  ];
}
