/** Charts are loaded with the first page that shows one, while it waits for its data. */

import { lazy } from "react";

export type { Mark } from "./annotations";
export type { LineChartProps } from "./LineChart";
export type { Series, SeriesColor } from "./series";

const module = import("./LineChart");

export const LineChart = lazy(async () => ({ default: (await module).LineChart }));
