import { Link } from "react-router";

import type { Dataset } from "@/api/queries";
import { ItemStatus } from "@/components/records/ItemStatus";
import type { Column } from "@/components/table/columns";
import { Time } from "@/components/text/Time";
import { formatBytes } from "@/format/bytes";
import { formatNumber } from "@/format/numbers";

import styles from "./datasets.module.css";
import { imageSize, sourceTitle } from "./sentences";

type Description = NonNullable<Dataset["description"]>;

export const COLUMNS: Column<Dataset>[] = [
  {
    id: "name",
    title: "Data set",
    isRowHead: true,
    sortBy: ({ name }) => name,
    cell: ({ id, name }) => (
      <Link className={styles.name} to={`/datasets/${id}`} title={name}>
        {name}
      </Link>
    ),
  },
  { id: "status", title: "State", cell: ({ status }) => <ItemStatus status={status} /> },
  countColumn("classes", "Classes"),
  {
    id: "size",
    title: "Images of",
    kind: "number",
    hide: "phone",
    cell: ({ description }) => description !== null && imageSize(description),
  },
  countColumn("train_images", "Training"),
  countColumn("test_images", "Test"),
  { id: "source", title: "From", hide: "phone", cell: ({ source }) => sourceTitle(source) },
  {
    id: "bytes",
    title: "File",
    kind: "number",
    hide: "phone",
    sortBy: ({ size }) => size ?? undefined,
    cell: ({ size }) => (size === null ? "" : formatBytes(size)),
  },
  {
    id: "created",
    title: "Created",
    kind: "number",
    hide: "phone",
    sortBy: ({ created_at: at }) => at,
    cell: ({ created_at: at }) => <Time at={at} />,
  },
];

function countColumn(
  key: keyof Description & ("classes" | "train_images" | "test_images"),
  title: string,
): Column<Dataset> {
  return {
    id: key,
    title,
    kind: "number",
    sortBy: ({ description }) => description?.[key],
    cell: ({ description }) => (description === null ? "" : formatNumber(description[key])),
  };
}
