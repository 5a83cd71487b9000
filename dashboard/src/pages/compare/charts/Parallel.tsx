/** A line a run, over differing settings and all results under one threat model. */

import { useMemo } from "react";

import { Section } from "@/components/page/Section";
import { ScrollRegion } from "@/components/table/ScrollRegion";
import { plural } from "@/format/numbers";

import { hoverHandlers, type Hover } from "../hover";
import { bestRow } from "../sentences";
import type { Comparison, Run, Section as Tested } from "../runs";
import { colorVariable } from "./color";
import { linePath, parallelAxes, type ParallelAxis } from "./parallel";
import styles from "./plot.module.css";
import { useWidth } from "./useWidth";

const HEIGHT = 190;
const TOP = 44;
const BOTTOM = 26;
const SIDE = 22;
const MOST_LETTERS = 16;
/** Room for an axis' title. */
const AXIS_WIDTH = 116;

interface ParallelProps {
  section: Tested;
  comparison: Comparison;
  runs: readonly Run[];
  hover: Hover;
}

export function Parallel({ section, comparison, runs, hover }: ParallelProps) {
  const axes = useMemo(() => parallelAxes(comparison, section), [comparison, section]);
  const shown = section.rows.length;
  if (axes.length < 2 || shown < 2) return null;
  const byId = new Map(runs.map((run) => [run.id, run]));
  const best = bestRow(section)?.job_id;
  const bestRun = best === undefined ? undefined : byId.get(best);
  const front = hover.id ?? best;
  const group = front === undefined ? undefined : byId.get(front)?.group;
  const isStrong = ({ id, group: own }: Run) =>
    id === front || (hover.id === undefined && group !== undefined && own === group);
  const lines = section.rows.flatMap(({ job_id: id }) => byId.get(id) ?? []);
  const ordered = [...lines].sort((a, b) => Number(isStrong(a)) - Number(isStrong(b)));
  const name = hover.id === undefined ? (group ?? bestRun?.label) : byId.get(hover.id)?.label;
  return (
    <Section
      title="Every run"
      note={`one line per run, ${plural(shown, "run")}${name === undefined ? "" : `; ${name} in full color`}`}
    >
      <ScrollRegion label="Parallel coordinates">
        <Lines
          axes={axes}
          runs={ordered}
          isStrong={isStrong}
          hover={hover}
          description={`Parallel coordinates of ${plural(shown, "run")}; the tables above have their values`}
        />
      </ScrollRegion>
    </Section>
  );
}

interface LinesProps {
  axes: readonly ParallelAxis[];
  runs: readonly Run[];
  isStrong: (run: Run) => boolean;
  hover: Hover;
  description: string;
}

function Lines({ axes, runs, isStrong, hover, description }: LinesProps) {
  const { place, width } = useWidth(1000);
  const x = (index: number) => SIDE + ((width - 2 * SIDE) * index) / (axes.length - 1);
  const y = (share: number) => TOP + HEIGHT * (1 - share);
  return (
    <div ref={place} className={styles.parallel} style={{ minWidth: axes.length * AXIS_WIDTH }}>
      <svg width={width} height={TOP + HEIGHT + BOTTOM} role="img" aria-label={description}>
        {runs.map((run) => (
          <g key={run.id} {...hoverHandlers(hover, run.id)}>
            <path className={styles.hit} d={linePath(axes, run.id, x, y)} />
            <path
              className={isStrong(run) ? styles.strongLine : styles.line}
              d={linePath(axes, run.id, x, y)}
              style={{ stroke: colorVariable(lineColor(run, isStrong(run))) }}
            />
            <title>{run.label}</title>
          </g>
        ))}
        {axes.map(({ id, title, low, high }, index) => (
          <g key={id} textAnchor={anchorOf(index, axes.length)} pointerEvents="none">
            <line className={styles.axis} x1={x(index)} x2={x(index)} y1={TOP} y2={TOP + HEIGHT} />
            <text className={styles.head} x={x(index)} y={TOP - 24}>
              {clip(title)}
            </text>
            <text x={x(index)} y={TOP - 8}>
              {clip(high)}
            </text>
            <text x={x(index)} y={TOP + HEIGHT + 16}>
              {clip(low)}
            </text>
          </g>
        ))}
      </svg>
    </div>
  );
}

function lineColor({ color }: Run, isStrong: boolean): Run["color"] {
  return color === "rest" && isStrong ? "robust" : color;
}

function anchorOf(index: number, count: number): "start" | "middle" | "end" {
  if (index === 0) return "start";
  return index === count - 1 ? "end" : "middle";
}

function clip(text: string): string {
  return text.length > MOST_LETTERS ? `…${text.slice(1 - MOST_LETTERS)}` : text;
}
