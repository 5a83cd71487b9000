/** Charts, for pages that show one. */

export type { Mark } from "./annotations";
export { LineChart, type LineChartProps } from "./LineChart";
export type { Series, SeriesColor } from "./series";
