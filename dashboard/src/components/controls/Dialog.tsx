/** A question over the page. A destructive one names its object: "Delete 3 jobs and their files". */

import type { ReactNode } from "react";
import { Dialog as AriaDialog } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal, ModalOverlay } from "react-aria-components/Modal";

import { Button } from "./Button";
import styles from "./controls.module.css";

interface DialogProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
  /** Buttons at the end; without them one that closes. */
  actions?: ReactNode;
  wide?: boolean;
}

export function Dialog({ title, isOpen, onClose, children, actions, wide = false }: DialogProps) {
  return (
    <ModalOverlay
      className={styles.overlay ?? ""}
      isOpen={isOpen}
      onOpenChange={(open) => open || onClose()}
      isDismissable
    >
      <Modal className={`${styles.modal ?? ""} ${wide ? (styles.wide ?? "") : ""}`}>
        <AriaDialog className={styles.dialog ?? ""}>
          <Heading slot="title" level={2}>
            {title}
          </Heading>
          <div className={styles.dialogBody}>{children}</div>
          <div className={styles.dialogActions}>
            {actions ?? <Button onClick={onClose}>Close</Button>}
          </div>
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

interface ConfirmProps {
  /** Names the object: "Delete digits-starship and its files?". */
  title: string;
  /** The verb on the button: "Delete". */
  action: string;
  isOpen: boolean;
  isBusy?: boolean;
  onConfirm: () => void;
  onClose: () => void;
  children: ReactNode;
}

/** Asks before something that cannot be taken back. */
export function ConfirmDialog({ action, isBusy = false, onConfirm, ...props }: ConfirmProps) {
  return (
    <Dialog
      {...props}
      actions={
        <>
          <Button onClick={props.onClose}>Keep</Button>
          <Button kind="danger" onClick={onConfirm} disabled={isBusy}>
            {action}
          </Button>
        </>
      }
    />
  );
}

interface FormProps {
  title: string;
  /** The verb on the button: "Create". */
  action: string;
  isOpen: boolean;
  isBusy: boolean;
  /** What has to be filled in before. */
  whyNot?: string | undefined;
  onSubmit: () => void;
  onClose: () => void;
  children: ReactNode;
}

/** Asks for the fields of a request. */
export function FormDialog({ action, isBusy, whyNot, onSubmit, ...props }: FormProps) {
  return (
    <Dialog
      {...props}
      actions={
        <>
          <Button onClick={props.onClose}>Cancel</Button>
          <Button kind="primary" onClick={onSubmit} whyNot={whyNot} disabled={isBusy}>
            {action}
          </Button>
        </>
      }
    />
  );
}
