/** How much of a file has been sent. */

import { Button } from "../controls/Button";
import { Meter } from "../marks/Meter";
import { formatBytes } from "@/format/bytes";
import { formatNumber } from "@/format/numbers";

import { Failure } from "../states/QueryState";
import styles from "./upload.module.css";
import type { Upload } from "./useUpload";

export function UploadProgress({ sent, size }: { sent: number; size: number }) {
  const share = size === 0 ? 1 : sent / size;
  const words = `${formatBytes(sent)} of ${formatBytes(size)}`;
  return (
    <div className={styles.progress}>
      <Meter value={sent} max={Math.max(1, size)} label={words} />
      <span className="small dim">
        {sent < size ? `${words}, ${formatNumber(100 * share)} %` : "Sent; the service stores it."}
      </span>
    </div>
  );
}

/** How far an upload is, or why it has ended. */
export function UploadState({ upload, file }: { upload: Upload; file: File | undefined }) {
  const { error } = upload.mutation;
  return (
    <>
      {upload.sent !== undefined && file !== undefined && (
        <UploadProgress sent={upload.sent} size={file.size} />
      )}
      {error !== null && <Failure error={error} />}
    </>
  );
}

interface UploadActionsProps {
  /** The verb on the button. */
  action: string;
  upload: Upload;
  whyNot: string | undefined;
  onSend: () => void;
  onClose: () => void;
}

export function UploadActions({ action, upload, whyNot, onSend, onClose }: UploadActionsProps) {
  const { isPending, isError } = upload.mutation;
  return (
    <>
      <Button onClick={onClose}>{isPending ? "Stop" : "Close"}</Button>
      <Button kind="primary" onClick={onSend} whyNot={whyNot} disabled={isPending}>
        {upload.isCreated && isError ? "Send again" : action}
      </Button>
    </>
  );
}
