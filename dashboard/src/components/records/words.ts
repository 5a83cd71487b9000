/** Words and names of records. Pure. */

/** "Import folder" for import_folder. */
export function sentenceCase(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A file's name without its ending and what a name must not have. */
export function nameOf(fileName: string): string {
  return fileName
    .replace(/\.[A-Za-z]+$/, "")
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 64);
}
