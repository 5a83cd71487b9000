/** One data set: what the importer found, its classes, and its images. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useParams } from "react-router";

import { api, unwrap } from "@/api/client";
import type { Dataset } from "@/api/queries";
import { useScope } from "@/api/session";
import { Answer } from "@/components/page/answer";
import { PageItem } from "@/components/page/PageItem";
import { PageHead, type Fact } from "@/components/page/PageHead";
import { Annotations, type AnnotationPatch } from "@/components/records/Annotations";
import { Deleted } from "@/components/deletion/Deleted";
import { ItemStatus } from "@/components/records/ItemStatus";
import { ifMatch } from "@/components/records/versioned";
import { Id } from "@/components/text/Id";
import { Time } from "@/components/text/Time";
import { formatNumber } from "@/format/numbers";

import { datasetAnswer, sourceTitle } from "../datasets/sentences";
import { Actions } from "./Actions";
import { datasetQuery, type VersionedDataset } from "./data";
import { Images } from "./Images";
import { Classes, Report } from "./Report";
import { UsedBy } from "./UsedBy";

const LIST = { label: "Data sets", to: "/datasets" };

export default function DatasetPage() {
  const { id = "" } = useParams();
  const [deleted, setDeleted] = useState<Dataset>();
  const dataset = useQuery({ ...datasetQuery(id), enabled: deleted === undefined });
  if (deleted !== undefined) {
    const { id: deletedId, name } = deleted;
    const onRestored = () => setDeleted(undefined);
    return (
      <Deleted noun="datasets" id={deletedId} name={name} list={LIST} onRestored={onRestored} />
    );
  }
  return (
    <PageItem query={dataset}>
      {(versioned) => <Content versioned={versioned} onDeleted={setDeleted} />}
    </PageItem>
  );
}

interface ContentProps {
  versioned: VersionedDataset;
  onDeleted: (dataset: Dataset) => void;
}

function Content({ versioned, onDeleted }: ContentProps) {
  const dataset = versioned.item;
  // What comes with the program belongs to all projects.
  const canEdit = useScope("submit") && dataset.source !== "builtin";
  const { edit, refresh } = useEdit(versioned);
  return (
    <>
      <PageHead
        title={dataset.name}
        path={[LIST]}
        here={<Id id={dataset.id} />}
        status={<ItemStatus status={dataset.status} pill />}
        answer={<Answer parts={datasetAnswer(dataset)} />}
        facts={factsOf(dataset)}
        actions={
          <Actions
            dataset={dataset}
            canEdit={canEdit}
            onRename={(name) => edit({ name })}
            onDeleted={onDeleted}
          />
        }
      />
      <Report dataset={dataset} />
      <Images dataset={dataset} />
      <Classes dataset={dataset} />
      <UsedBy id={dataset.id} />
      <Annotations
        notes={dataset.notes}
        metadata={dataset.metadata}
        canEdit={canEdit}
        onSave={edit}
        onOutdated={() => void refresh()}
      />
    </>
  );
}

/** Changes depend on nobody having changed the data set since it was shown. */
function useEdit(versioned: VersionedDataset) {
  const client = useQueryClient();
  const refresh = () => client.invalidateQueries({ queryKey: ["datasets"] });
  const edit = async (body: AnnotationPatch & { name?: string }) => {
    const path = { reference: versioned.item.id };
    const params = { path, header: ifMatch(versioned) };
    await unwrap(api.PATCH("/v1/datasets/{reference}", { params, body }));
    await refresh();
  };
  return { edit, refresh };
}

function factsOf(dataset: Dataset): Fact[] {
  const { source, every, image_size: side, sha256, created_at: at, classes } = dataset;
  return [
    { label: "From", value: sourceTitle(source) },
    ...(side == null ? [] : [{ label: "Scaled to", value: `${side} px` }]),
    ...(every == null ? [] : [{ label: "Every", value: `${formatNumber(every)}th class` }]),
    ...(classes == null ? [] : [{ label: "Chosen classes", value: formatNumber(classes.length) }]),
    ...(sha256 === null
      ? []
      : [
          {
            label: "SHA-256",
            value: (
              <span className="mono" title={sha256}>
                {sha256.slice(0, 12)}…
              </span>
            ),
          },
        ]),
    { label: "Created", value: <Time at={at} /> },
  ];
}
