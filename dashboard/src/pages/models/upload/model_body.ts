/** The body of POST /v1/models, made of a form's texts. Pure. */

export const DESCRIPTION_FIELDS = [
  { name: "name", label: "Name", aside: "unique", initial: "" },
  { name: "series", label: "Series", aside: "by default its name", initial: "" },
  { name: "classes", label: "Classes", aside: "", initial: "10" },
  { name: "channels", label: "Channels", aside: "1 or 3", initial: "3" },
  { name: "height", label: "Image height", aside: "px", initial: "32" },
  { name: "width", label: "Image width", aside: "px", initial: "32" },
  { name: "state_dict", label: "State dict", aside: "of several in the file", initial: "" },
] as const;

export function modelBody(
  architecture: string,
  settings: Readonly<Record<string, string | number>>,
  values: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const body: Record<string, unknown> = { network: { architecture, ...settings } };
  for (const { name, initial } of DESCRIPTION_FIELDS) {
    const text = (values[name] ?? initial).trim();
    if (text === "") continue;
    const number = Number(text);
    body[name] = initial !== "" && Number.isFinite(number) ? number : text;
  }
  return body;
}
