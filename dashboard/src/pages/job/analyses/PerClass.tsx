/** Accuracy of each class: clean, and under the attacks of the job's threat model. */

import { Section } from "@/components/page/Section";
import { WhiskerScale } from "@/components/marks/Whisker";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber } from "@/format/numbers";

import styles from "../job.module.css";
import { weakest, type ClassRow, type PerClass } from "./per_class";

const SCALE = { low: 0, high: 100, ticks: [0, 25, 50, 75, 100] };

export function PerClassSection({ perClass }: { perClass: PerClass }) {
  const { rows, attacks } = perClass;
  const weak = weakest(perClass);
  const deciding = attacks.at(-1);
  const note =
    weak === undefined || deciding === undefined
      ? "accuracy, %"
      : `accuracy, % · weakest: ${weak.name} with ${percent(weak.attacks.at(-1))} ` +
        `under ${deciding.label}`;
  return (
    <Section title="Per class" note={note}>
      <div className={styles.classes}>
        <DataTable
          label="Accuracy of each class"
          rows={rows}
          columns={columnsOf(perClass)}
          rowId={({ index }) => String(index)}
        />
      </div>
    </Section>
  );
}

function columnsOf({ attacks }: PerClass): Column<ClassRow>[] {
  return [
    {
      id: "class",
      title: "Class",
      isRowHead: true,
      sortBy: ({ index }) => index,
      cell: ({ name }) => <span className={`strong ${styles.clip ?? ""}`}>{name}</span>,
    },
    {
      id: "marks",
      title: <WhiskerScale scale={SCALE} />,
      kind: "whisker",
      hide: "phone",
      cell: (row) => <Dumbbell row={row} />,
    },
    {
      id: "clean",
      title: "Clean",
      kind: "number",
      sortBy: ({ clean }) => clean ?? undefined,
      cell: ({ clean }) => percent(clean),
    },
    ...attacks.map(({ key, label }, index): Column<ClassRow> => ({
      id: key,
      title: label,
      kind: "number",
      ...(index < attacks.length - 1 ? { hide: "phone" as const } : {}),
      sortBy: (row) => row.attacks[index] ?? undefined,
      cell: (row) => (
        <span className={index === attacks.length - 1 ? "strong" : undefined}>
          {percent(row.attacks[index])}
        </span>
      ),
    })),
  ];
}

function percent(share: number | null | undefined): string {
  return share == null ? "" : formatNumber(100 * share);
}

/** From clean (hollow) to under attack (filled): the length is what the attack takes. */
function Dumbbell({ row }: { row: ClassRow }) {
  const robust = row.attacks.at(-1);
  const { clean } = row;
  return (
    <svg className={styles.dumbbell} aria-hidden="true">
      <line className={styles.track} x1="0" x2="100%" y1="10" y2="10" />
      {clean !== null && robust != null && (
        <line className={styles.drop} x1={place(robust)} x2={place(clean)} y1="10" y2="10" />
      )}
      {clean !== null && <circle className={styles.cleanDot} cx={place(clean)} cy="10" r="3.5" />}
      {robust != null && <circle className={styles.robustDot} cx={place(robust)} cy="10" r="3.5" />}
    </svg>
  );
}

function place(share: number): string {
  return `${(100 * share).toFixed(2)}%`;
}
