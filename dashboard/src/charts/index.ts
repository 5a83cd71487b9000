/** Charts are loaded with the first page that shows one. */

import { lazy } from "react";

export type { Mark } from "./annotations";
export type { LineChartProps } from "./LineChart";
export type { Series, SeriesColor } from "./series";

export const LineChart = lazy(async () => ({ default: (await import("./LineChart")).LineChart }));
