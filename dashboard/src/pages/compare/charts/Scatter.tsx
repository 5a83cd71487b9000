/** Robust accuracy (up) against clean accuracy (right), with the Pareto front. */

import { Section } from "@/components/page/Section";
import { formatNumber, plural } from "@/format/numbers";

import { hoverHandlers, type Hover } from "../hover";
import type { Group, Run, Section as Tested } from "../runs";
import { measureLabel } from "../sentences";
import { colorVariable } from "./color";
import styles from "./plot.module.css";
import { axisOf, shareOf, type Axis } from "./scale";
import { frontOf, groupPoints, placeLabels, pointsOf, type Point } from "./scatter";
import { useWidth } from "./useWidth";

const HEIGHT = 250;
const LEFT = 34;
const RIGHT = 16;
const TOP = 12;
const BOTTOM = 28;
/** With more, intervals would cover each other. */
const MOST_INTERVALS = 8;

interface ScatterProps {
  section: Tested;
  runs: readonly Run[];
  groups: readonly Group[];
  hover: Hover;
}

export function Scatter({ section, runs, groups, hover }: ScatterProps) {
  const { deciding } = section;
  const points = pointsOf(section.rows, runs, deciding);
  if (section.threat_model === null || points.length < 2) return null;
  const measure = measureLabel(section, deciding);
  const front = frontOf(points);
  const means = groupPoints(points, groups);
  const description =
    `Robust accuracy under ${measure} against clean accuracy of ${plural(points.length, "run")}; ` +
    `the Pareto front has ${formatNumber(front.length)}`;
  return (
    <Section
      title="Robust against clean"
      note={`${measure}, % (up) and clean, % (right) of ${plural(points.length, "run")}`}
      span={6}
    >
      <Plot points={points} means={means} front={front} hover={hover} description={description} />
      <p className={styles.legend}>
        {groups.length > 0
          ? "Rings: runs. Filled: mean of a group. Dashed: Pareto front of the runs."
          : "Filled: with 95 % intervals. Rings: the other runs. Dashed: Pareto front."}
      </p>
    </Section>
  );
}

interface PlotProps {
  points: readonly Point[];
  means: readonly Point[];
  front: readonly Point[];
  hover: Hover;
  description: string;
}

interface Frame {
  x: Axis;
  y: Axis;
  width: number;
  toX: (clean: number) => number;
  toY: (robust: number) => number;
}

function frameOf(points: readonly Point[], width: number): Frame {
  const wide = points.filter(({ isChosen }) => isChosen).slice(0, MOST_INTERVALS);
  const extent = (of: (point: Point) => number, interval: (point: Point) => readonly number[]) => [
    ...points.map(of),
    ...wide.flatMap(interval),
  ];
  const x = axisOf(
    extent(
      ({ clean }) => clean,
      ({ cleanInterval }) => cleanInterval ?? [],
    ),
    0,
    100,
  );
  const y = axisOf(
    extent(
      ({ robust }) => robust,
      ({ robustInterval }) => robustInterval ?? [],
    ),
    0,
    100,
  );
  const inner = Math.max(1, width - LEFT - RIGHT);
  return {
    x,
    y,
    width,
    toX: (clean) => LEFT + inner * shareOf(clean, x),
    toY: (robust) => TOP + HEIGHT * (1 - shareOf(robust, y)),
  };
}

function Plot({ points, means, front, hover, description }: PlotProps) {
  const { place, width } = useWidth(480);
  const frame = frameOf(points, width);
  const chosen = points.filter(({ isChosen }) => isChosen);
  const hovered = points.find(({ id }) => id === hover.id);
  const labelled = means.length > 0 ? means : chosen;
  const named = hovered === undefined ? labelled : [hovered, ...labelled];
  const spotOf = ({ clean, robust, label }: Point) => ({
    x: frame.toX(clean),
    y: frame.toY(robust),
    text: label,
  });
  const labels = placeLabels(named.map(spotOf), points.map(spotOf), {
    width,
    height: TOP + HEIGHT,
  });
  return (
    <div ref={place} className={styles.plot}>
      <svg width={width} height={TOP + HEIGHT + BOTTOM} role="img" aria-label={description}>
        <Axes frame={frame} />
        {front.length > 0 && <path className={styles.front} d={staircase(front, frame)} />}
        {chosen.slice(0, MOST_INTERVALS).map((point) => (
          <Intervals key={point.id} point={point} frame={frame} />
        ))}
        {points.map((point) => (
          <Mark key={point.id} point={point} frame={frame} hover={hover} />
        ))}
        <Means means={means} frame={frame} />
        {labels.map(({ text, x, y, anchor }) => (
          <text key={text} className={styles.point} x={x} y={y} textAnchor={anchor}>
            {text}
          </text>
        ))}
      </svg>
    </div>
  );
}

function Means({ means, frame }: { means: readonly Point[]; frame: Frame }) {
  return means.map(({ id, color, clean, robust }) => (
    <circle
      key={id}
      cx={frame.toX(clean)}
      cy={frame.toY(robust)}
      r="5"
      style={{ fill: colorVariable(color) }}
    />
  ));
}

function Axes({ frame: { x, y, width, toX, toY } }: { frame: Frame }) {
  const bottom = TOP + HEIGHT;
  return (
    <>
      {y.ticks.map((tick) => (
        <g key={tick}>
          <line
            className={styles.grid}
            x1={LEFT}
            x2={width - RIGHT}
            y1={toY(tick)}
            y2={toY(tick)}
          />
          <text className={styles.y} x={LEFT - 8} y={toY(tick)}>
            {formatNumber(tick, tick % 1 === 0 ? 0 : 1)}
          </text>
        </g>
      ))}
      <line className={styles.axis} x1={LEFT} x2={width - RIGHT} y1={bottom} y2={bottom} />
      {x.ticks.map((tick) => (
        <text key={tick} className={styles.x} x={toX(tick)} y={bottom + 18}>
          {formatNumber(tick, tick % 1 === 0 ? 0 : 1)}
        </text>
      ))}
    </>
  );
}

function Intervals({ point, frame: { toX, toY } }: { point: Point; frame: Frame }) {
  const { clean, robust, cleanInterval, robustInterval, color } = point;
  const style = { stroke: colorVariable(color) };
  return (
    <g className={styles.intervals} style={style}>
      {robustInterval !== undefined && (
        <line
          x1={toX(clean)}
          x2={toX(clean)}
          y1={toY(robustInterval[0])}
          y2={toY(robustInterval[1])}
        />
      )}
      {cleanInterval !== undefined && (
        <line
          x1={toX(cleanInterval[0])}
          x2={toX(cleanInterval[1])}
          y1={toY(robust)}
          y2={toY(robust)}
        />
      )}
    </g>
  );
}

function Mark({ point, frame, hover }: { point: Point; frame: Frame; hover: Hover }) {
  const { id, label, clean, robust, isChosen } = point;
  const isHovered = hover.id === id;
  const color = isHovered && point.color === "rest" ? "robust" : point.color;
  const stroke = colorVariable(color);
  return (
    <circle
      className={styles.mark}
      cx={frame.toX(clean)}
      cy={frame.toY(robust)}
      r={isChosen || isHovered ? 5 : 3.5}
      style={isChosen || isHovered ? { stroke, fill: stroke } : { stroke }}
      {...hoverHandlers(hover, id)}
    >
      <title>{`${label}: clean ${formatNumber(clean, 2)}, robust ${formatNumber(robust, 2)}`}</title>
    </circle>
  );
}

/** From the left edge at the most robust to the axis below the most accurate. */
function staircase(front: readonly Point[], { toX, toY }: Frame): string {
  let path = "";
  for (const { clean, robust } of front) {
    const x = toX(clean).toFixed(1);
    const y = toY(robust).toFixed(1);
    path += path === "" ? `M${LEFT} ${y}H${x}` : `V${y}H${x}`;
  }
  return `${path}V${TOP + HEIGHT}`;
}
