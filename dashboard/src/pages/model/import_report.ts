/** Reads the report of a model's import, whose type REST leaves open. Pure. */

export interface ReadReport {
  remarks: string[];
  normalization: string;
  stateDict: string | undefined;
  otherStateDicts: string[];
  /** What differs between the file and the network; without empty ones. */
  lists: { title: string; lines: string[] }[];
}

export function readReport(report: Readonly<Record<string, unknown>>): ReadReport {
  const lists = [
    { title: "Renamed", lines: pairs(report.renamed) },
    { title: "Converted to 32-bit", lines: pairs(report.converted) },
    { title: "Dropped", lines: texts(report.dropped) },
    { title: "Set to 0, as the file lacks them", lines: texts(report.filled) },
  ];
  return {
    remarks: texts(report.remarks),
    normalization: typeof report.normalization === "string" ? report.normalization : "",
    stateDict: typeof report.state_dict === "string" ? report.state_dict : undefined,
    otherStateDicts: texts(report.other_state_dicts),
    lists: lists.filter(({ lines }) => lines.length > 0),
  };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function pairs(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).map(([from, to]) => `${from} → ${String(to)}`);
}
