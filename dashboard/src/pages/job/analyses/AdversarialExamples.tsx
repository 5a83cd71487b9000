/** Test images, their changes under attack, and what student and teacher make of them. */

import { useEffect, useRef, useState } from "react";

import { useAddress } from "@/app/address";
import type { Job } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { ROOT } from "@/api/root";
import { useThemeVersion } from "@/charts/useThemeVersion";
import { Segmented } from "@/components/controls/Segmented";
import { Note, Section } from "@/components/page/Section";
import { formatRadius, threatModelTitle } from "@/format/threat_model";

import styles from "../job.module.css";
import {
  changeColor,
  filtersOf,
  MIXED,
  parseColor,
  type Example,
  type Examples,
  type Filter,
} from "./examples";
import { Verdict } from "./Verdict";

const PAGE = 8;

interface AdversarialExamplesProps {
  job: Job;
  examples: Examples;
  classNames: readonly string[];
}

export function AdversarialExamples({ job, examples, classNames }: AdversarialExamplesProps) {
  const [isAll, setAll] = useState(false);
  const picture = usePicture(job.id, examples.picture.file);
  const filters = filtersOf(examples);
  const [filter, choose] = useFilter(filters);
  const rows = examples.examples
    .map((example, row) => ({ example, row }))
    .filter(({ example }) => filter === MIXED || example.outcome === filter);
  const shown = isAll ? rows : rows.slice(0, PAGE);
  const more = (
    <Segmented label="Which examples" options={filters} value={filter} onChange={choose} />
  );
  return (
    <Section title="Adversarial examples" note={<ExamplesNote examples={examples} />} more={more}>
      {picture === "failed" && <Note>The picture of the examples cannot be loaded.</Note>}
      <div className={styles.examples}>
        {shown.map(({ example, row }) => (
          <figure key={example.index}>
            <Tiles picture={picture} examples={examples} row={row} example={example} />
            <Verdict example={example} classNames={classNames} />
          </figure>
        ))}
      </div>
      {rows.length > shown.length && (
        <Button kind="link" onClick={() => setAll(true)}>
          Show all {rows.length}
        </Button>
      )}
    </Section>
  );
}

/** The filter of the address: `?examples=both_fall`. */
function useFilter(filters: readonly Filter[]): [string, (value: string) => void] {
  const { parameters, set } = useAddress();
  const wish = parameters.get("examples");
  const filter = filters.some(({ value }) => value === wish) ? (wish ?? MIXED) : MIXED;
  const choose = (value: string) => set("examples", value === MIXED ? undefined : value);
  return [filter, choose];
}

function ExamplesNote({ examples: { radius, steps } }: { examples: Examples }) {
  return (
    <>
      PGD-{steps}, {threatModelTitle({ norm: "linf", radius })} · change:{" "}
      <span className={styles.darker}>darker</span> orange, lighter blue, full color at ±
      {formatRadius(radius)}
    </>
  );
}

type Picture = HTMLImageElement | "failed" | undefined;

/** The lossless picture with a row for each example. */
function usePicture(id: string, file: string): Picture {
  const [picture, setPicture] = useState<Picture>();
  useEffect(() => {
    const image = new Image();
    image.onload = () => setPicture(image);
    image.onerror = () => setPicture("failed");
    const path = `/v1/jobs/${encodeURIComponent(id)}/artifacts/${encodeURIComponent(file)}`;
    image.src = `${ROOT}${path}?direct=true`;
    return () => {
      image.onload = null;
      image.onerror = null;
    };
  }, [id, file]);
  return picture;
}

interface TilesProps {
  picture: Picture;
  examples: Examples;
  row: number;
  example: Example;
}

const COLUMNS = ["", "Its change", "The perturbed image"] as const;

function Tiles({ picture, examples, row, example }: TilesProps) {
  const { tile_width: width, tile_height: height } = examples.picture;
  const theme = useThemeVersion();
  return (
    <div className={styles.tiles}>
      {COLUMNS.map((label, column) => (
        <Tile
          key={column}
          picture={picture}
          area={[column * width, row * height, width, height]}
          isChange={column === 1}
          label={label || `Test image ${example.index}`}
          theme={theme}
        />
      ))}
    </div>
  );
}

interface TileProps {
  picture: Picture;
  area: readonly [number, number, number, number];
  isChange: boolean;
  label: string;
  theme: number;
}

function Tile({ picture, area, isChange, label, theme }: TileProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [x, y, width, height] = area;
  useEffect(() => {
    const context = canvas.current?.getContext("2d", { willReadFrequently: true });
    if (context == null || !(picture instanceof HTMLImageElement)) return;
    context.drawImage(picture, x, y, width, height, 0, 0, width, height);
    if (isChange) colorChange(context, width, height);
  }, [picture, x, y, width, height, isChange, theme]);
  return (
    <span role="img" aria-label={label}>
      <canvas ref={canvas} width={width} height={height} />
    </span>
  );
}

/** Changes of gray images get two colors; those of color images stay around middle gray. */
function colorChange(context: CanvasRenderingContext2D, width: number, height: number): void {
  const image = context.getImageData(0, 0, width, height);
  const { data } = image;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) return;
  }
  const style = getComputedStyle(context.canvas);
  const color = (name: string) => parseColor(style.getPropertyValue(name).trim());
  const colors = { none: color("--raised"), darker: color("--plus"), lighter: color("--minus") };
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue] = changeColor(data[at] ?? 0, colors);
    data[at] = red;
    data[at + 1] = green;
    data[at + 2] = blue;
  }
  context.putImageData(image, 0, 0);
}
