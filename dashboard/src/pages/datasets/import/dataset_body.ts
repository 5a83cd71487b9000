/** The body of POST /v1/datasets, made of a form's texts. Pure. */

export type Source = "upload" | "folder" | "download";

export interface ImportForm {
  source: Source;
  name: string;
  folder: string;
  download: string;
  imageSize: string;
  /** One name a line. */
  classes: string;
  every: string;
}

export const EMPTY_FORM: ImportForm = {
  source: "upload",
  name: "",
  folder: "",
  download: "cifar10",
  imageSize: "",
  classes: "",
  every: "",
};

export function datasetBody(form: ImportForm): Record<string, unknown> {
  const classes = form.classes
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return {
    name: form.name.trim(),
    ...(form.source === "folder" ? { folder: form.folder.trim() } : {}),
    ...(form.source === "download" ? { download: form.download } : {}),
    ...numberField("image_size", form.imageSize),
    ...numberField("every", form.every),
    ...(classes.length === 0 ? {} : { classes }),
  };
}

/** What is no number is for the API to refuse. */
function numberField(name: string, text: string): Record<string, unknown> {
  const value = text.trim();
  if (value === "") return {};
  return { [name]: Number.isFinite(Number(value)) ? Number(value) : value };
}

/** Why it cannot be sent yet. */
export function missingPart(form: ImportForm, file: File | undefined): string | undefined {
  if (form.source === "upload" && file === undefined) return "Choose an archive first.";
  if (form.name.trim() === "") return "Write a name first.";
  if (form.source === "folder" && form.folder.trim() === "")
    return "Write the folder's name first.";
  return undefined;
}
