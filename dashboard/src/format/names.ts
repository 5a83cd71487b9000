/** Names of methods as their papers write them, of jobs without a name, and short ids. */

const METHODS: Record<string, string> = {
  adaad: "AdaAD",
  akd: "AKD",
  ard: "ARD",
  arkd: "ARKD",
  at_prm: "AT-PRM",
  iad: "IAD",
  igdm: "IGDM",
  n_fgsm: "N-FGSM",
  pgd_at: "PGD-AT",
  rslad: "RSLAD",
  score: "SCORE",
  starship: "STARSHIP",
  trades: "TRADES",
};
const KINDS: Record<string, string> = {
  adversarial_training: "adversarial training",
  distillation: "distillation",
  evaluation: "evaluation",
  import_dataset: "data set import",
  import_model: "model import",
};
const SHORT_ID = 7;

/** "STARSHIP" for starship; a method without a paper's spelling in capitals. */
export function methodTitle(method: string): string {
  return METHODS[method] ?? method.replaceAll("_", "-").toUpperCase();
}

/** "data set import" for import_dataset. */
export function kindTitle(kind: string): string {
  return KINDS[kind] ?? kind.replaceAll("_", " ");
}

/** The last seven characters of an id: enough to tell the ids of one page apart. */
export function shortId(id: string): string {
  return id.slice(id.indexOf("_") + 1).slice(-SHORT_ID);
}

/** A job's name, else its kind and short id: every link to a job has words. */
export function jobTitle(job: { id: string; name: string | null; kind: string }): string {
  if (job.name !== null) return withoutOverrides(job.name);
  return `${kindTitle(job.kind)} ${shortId(job.id)}`;
}

/** Without the characters that turn the order of the letters that follow them. */
export function withoutOverrides(text: string): string {
  return text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");
}

/** Text of at most so many letters, the last one a mark of what is missing. */
export function shortened(text: string, letters: number): string {
  const all = Array.from(text);
  return all.length <= letters
    ? text
    : `${all
        .slice(0, letters - 1)
        .join("")
        .trimEnd()}…`;
}
