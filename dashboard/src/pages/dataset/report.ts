/** Reads the report of a data set's import, whose type REST leaves open. Pure. */

export interface IgnoredFiles {
  reason: string;
  files: number;
  /** Names of the first of them. */
  first: string[];
}

export interface ClassCount {
  name: string;
  train: number;
  test: number;
}

export interface ReadReport {
  layout: string;
  remarks: string[];
  ignoredFiles: number;
  ignored: IgnoredFiles[];
  classes: ClassCount[];
}

export function readReport(report: Readonly<Record<string, unknown>>): ReadReport {
  const images = record(report.images);
  const train = record(images.train);
  const test = record(images.test);
  const names = [...new Set([...Object.keys(train), ...Object.keys(test)])];
  return {
    layout: typeof report.layout === "string" ? report.layout : "",
    remarks: list(report.remarks).map(String),
    ignoredFiles: count(report.ignored_files),
    ignored: list(report.ignored).map((entry) => {
      const { reason, files, first } = record(entry);
      return { reason: String(reason), files: count(files), first: list(first).map(String) };
    }),
    classes: names.map((name) => ({ name, train: count(train[name]), test: count(test[name]) })),
  };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
