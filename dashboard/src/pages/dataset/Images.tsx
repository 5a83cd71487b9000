/** Thumbnails, class by class. Each is a part of a picture of many. */

import { useInfiniteQuery } from "@tanstack/react-query";

import { useAddress } from "@/app/address";
import type { Dataset } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Section } from "@/components/page/Section";
import { Failure, Loading } from "@/components/states/QueryState";
import { formatNumber } from "@/format/numbers";

import { imagesQuery, type DatasetImage } from "./data";
import styles from "./dataset.module.css";

const PER_CLASS = 12;
/** Smaller images are shown with sharp pixels. */
const SMOOTH_FROM = 48;

export function Images({ dataset }: { dataset: Dataset }) {
  const { parameters, set } = useAddress();
  const chosen = parameters.get("class") ?? "";
  const query = imagesQuery(dataset.id, chosen, PER_CLASS);
  const images = useInfiniteQuery({ ...query, enabled: dataset.images != null });
  if (dataset.images == null) return null;
  const rows = images.data?.pages.flatMap(({ data }) => data);
  const choice = (
    <select
      className={styles.select}
      aria-label="Class"
      value={chosen}
      onChange={(event) => set("class", event.target.value)}
    >
      <option value="">All classes</option>
      {dataset.description?.class_names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  );
  const note = `${formatNumber(dataset.images)} to look at, spread over the classes`;
  return (
    <Section title="Images" note={note} more={choice}>
      {images.error !== null && (
        <Failure error={images.error} onRetry={() => void images.refetch()} />
      )}
      {rows === undefined ? images.isPending && <Loading rows={4} /> : <Classes images={rows} />}
      {images.hasNextPage && (
        <Button onClick={() => void images.fetchNextPage()} disabled={images.isFetchingNextPage}>
          Load more
        </Button>
      )}
    </Section>
  );
}

function Classes({ images }: { images: readonly DatasetImage[] }) {
  const labels = [...new Set(images.map(({ label }) => label))];
  return labels.map((label) => {
    const own = images.filter((image) => image.label === label);
    const name = own[0]?.class ?? "";
    return (
      <div key={label} className={styles.classRow}>
        <h3 title={name}>{name}</h3>
        <div className={styles.images}>
          {own.map((image) => (
            <Thumbnail key={`${image.split} ${image.index}`} image={image} />
          ))}
        </div>
      </div>
    );
  });
}

function Thumbnail({ image }: { image: DatasetImage }) {
  const { class: name, split, index, url, x, y, width, height } = image;
  const label = `${name}, ${split === "train" ? "training" : "test"} image ${index}`;
  const isSmall = width < SMOOTH_FROM;
  return (
    <svg
      className={styles.image}
      viewBox={`${x} ${y} ${width} ${height}`}
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      <image href={url} className={isSmall ? styles.pixelated : undefined} />
    </svg>
  );
}
