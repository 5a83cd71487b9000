import { formatPercent, formatShare, formatSignificant, plural } from "@/format/numbers";

import { axisScale, type AxisScale } from "./axis_scale";
import type { AxisPoint, AxisSeries } from "./lines";
import styles from "./sweep.module.css";

const GRID = [0, 0.25, 0.5, 0.75, 1];
const COLORS = 8;

interface AxisChartProps {
  curves: readonly AxisSeries[];
  xLabel: string;
  yLabel: string;
}

export function AxisChart({ curves, xLabel, yLabel }: AxisChartProps) {
  const scale = axisScale(curves);
  const description =
    `${yLabel} over ${xLabel}${scale.isLog ? ", logarithmic" : ""}: ` +
    `${plural(curves.length, "curve")} of ${plural(scale.ticks.length, "value")}.`;
  return (
    <figure>
      <div className={styles.chart}>
        <svg role="img" aria-label={description}>
          <Axes scale={scale} />
          {curves.map((curve, index) => (
            <Curve key={curve.id} curve={curve} scale={scale} color={colorOf(index)} />
          ))}
        </svg>
      </div>
      <ul className={styles.legend} hidden={curves.length < 2}>
        {curves.map(({ id, label }, index) => (
          <li key={id}>
            <svg viewBox="0 0 14 4" aria-hidden="true">
              <line className={colorOf(index)} x1="0" x2="14" y1="2" y2="2" strokeWidth="2" />
            </svg>
            {label}
          </li>
        ))}
      </ul>
    </figure>
  );
}

function colorOf(index: number): string {
  return (index < COLORS ? styles[`c${index + 1}`] : styles.rest) ?? "";
}

function Axes({ scale }: { scale: AxisScale }) {
  return (
    <>
      {GRID.map((share) => (
        <g key={share}>
          <line
            className={share === 0 ? styles.axis : styles.grid}
            x1="0"
            x2="100%"
            y1={percent(scale.y(share))}
            y2={percent(scale.y(share))}
          />
          <text x="-8" y={percent(scale.y(share))} dy="4" textAnchor="end">
            {100 * share}
          </text>
        </g>
      ))}
      {scale.ticks.map((tick) => (
        <text key={tick} x={percent(scale.x(tick))} y="100%" dy="18" textAnchor="middle">
          {formatSignificant(tick)}
        </text>
      ))}
    </>
  );
}

interface CurveProps {
  curve: AxisSeries;
  scale: AxisScale;
  color: string;
}

function Curve({ curve, scale, color }: CurveProps) {
  const path = curve.points
    .map(({ x, mean }, index) => `${index === 0 ? "M" : "L"}${scale.x(x)} ${scale.y(mean)}`)
    .join("");
  return (
    <g className={color}>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">
        <path className={styles.curve} d={path} />
      </svg>
      {curve.points.map((point) => (
        <Point key={point.x} point={point} scale={scale} label={curve.label} />
      ))}
    </g>
  );
}

function Point({ point, scale, label }: { point: AxisPoint; scale: AxisScale; label: string }) {
  const { x, mean, sd, n } = point;
  const at = percent(scale.x(x));
  const deviation = sd === null ? "" : ` ± ${formatShare(sd)}`;
  return (
    <g>
      <title>{`${label} at ${x}: ${formatPercent(mean)}${deviation}, ${plural(n, "seed")}`}</title>
      {sd !== null && (
        <line
          className={styles.deviation}
          x1={at}
          x2={at}
          y1={percent(scale.y(mean - sd))}
          y2={percent(scale.y(mean + sd))}
        />
      )}
      <circle cx={at} cy={percent(scale.y(mean))} r="3.5" fill="currentColor" />
    </g>
  );
}

function percent(value: number): string {
  return `${value.toFixed(2)}%`;
}
