/** Which columns the table has. The name is always there. */

import { Button } from "@/components/controls/Button";
import { Dialog } from "@/components/controls/Dialog";

import type { Choice } from "./columns";
import styles from "./jobs.module.css";

interface ColumnsDialogProps {
  choices: readonly Choice[];
  shown: readonly string[];
  /** Undefined: the usual ones. */
  onChange: (columns: readonly string[] | undefined) => void;
  onClose: () => void;
}

export function ColumnsDialog({ choices, shown, onChange, onClose }: ColumnsDialogProps) {
  const toggle = (id: string) => {
    const next = shown.includes(id) ? shown.filter((one) => one !== id) : [...shown, id];
    onChange(next.length === 0 ? ["status"] : next);
  };
  return (
    <Dialog
      title="Columns"
      isOpen
      onClose={onClose}
      actions={
        <>
          <Button onClick={() => onChange(undefined)}>Show the usual ones</Button>
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        </>
      }
    >
      <fieldset className={styles.checks}>
        <legend className="vh">Columns</legend>
        {choices.map(({ id, title }) => (
          <label key={id}>
            <input type="checkbox" checked={shown.includes(id)} onChange={() => toggle(id)} />
            {title}
          </label>
        ))}
      </fieldset>
    </Dialog>
  );
}
