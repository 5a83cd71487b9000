/** The choice of one file. */

import { FieldFrame } from "../controls/Field";
import { formatBytes } from "@/format/bytes";

import styles from "./upload.module.css";

interface FileFieldProps {
  label: string;
  hint: string;
  accept: string;
  file: File | undefined;
  onChange: (file: File | undefined) => void;
  error?: string | undefined;
}

export function FileField({ label, hint, accept, file, onChange, error }: FileFieldProps) {
  const aside = file === undefined ? undefined : formatBytes(file.size);
  return (
    <FieldFrame label={label} aside={aside} hint={hint} error={error}>
      {(described) => (
        <input
          {...described}
          className={styles.file}
          type="file"
          accept={accept}
          onChange={(event) => onChange(event.target.files?.[0])}
        />
      )}
    </FieldFrame>
  );
}
