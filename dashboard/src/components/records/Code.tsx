/** Text that is copied: code, long lists. It scrolls inside its own frame. */

import { useState } from "react";

import { Button } from "../controls/Button";
import { ScrollRegion } from "../table/ScrollRegion";
import styles from "./records.module.css";

interface CodeProps {
  label: string;
  text: string;
}

export function Code({ label, text }: CodeProps) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(text).then(() => setCopied(true));
  };
  return (
    <div className={styles.codeFrame}>
      <ScrollRegion label={label}>
        <pre className={styles.code}>{text}</pre>
      </ScrollRegion>
      {"clipboard" in navigator && (
        <Button kind="plain" onClick={copy}>
          {isCopied ? "Copied" : "Copy"}
        </Button>
      )}
    </div>
  );
}
