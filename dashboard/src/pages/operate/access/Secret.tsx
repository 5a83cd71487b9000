/** A new key's secret, which is shown once: it stays until it is put away. */

import { useState } from "react";

import { Button } from "@/components/controls/Button";
import { Notice } from "@/components/states/Notice";

import styles from "./access.module.css";

interface SecretProps {
  /** "Key ci", "First key of vision". */
  title: string;
  secret: string | null;
  onDone: () => void;
}

export function Secret({ title, secret, onDone }: SecretProps) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (text: string) => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <div role="status" className={styles.secret}>
      <Notice kind="warning" title={`${title}: save its secret now, it is not shown again.`}>
        {secret === null ? (
          <p className={styles.secretRow}>
            The answer was lost, and the secret with it. Revoke this key and create another.
            <Button onClick={onDone}>Close</Button>
          </p>
        ) : (
          <p className={styles.secretRow}>
            <code className="mono">{secret}</code>
            <Button onClick={() => void copy(secret)}>{isCopied ? "Copied" : "Copy"}</Button>
            <Button onClick={onDone}>I have saved it</Button>
          </p>
        )}
      </Notice>
    </div>
  );
}
