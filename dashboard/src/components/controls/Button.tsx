/** Buttons are verbs. One filled button a page: its likely next step. */

import type { ButtonHTMLAttributes, ReactNode } from "react";
import { useId } from "react";
import { Link, type LinkProps } from "react-router";

import styles from "./controls.module.css";

export type ButtonKind = "default" | "primary" | "danger" | "plain" | "link";

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "className"> {
  kind?: ButtonKind;
  children: ReactNode;
  /** Why it cannot be pressed. It can still be reached by keyboard, so that its reason is read. */
  whyNot?: string | undefined;
}

export function Button({ kind = "default", whyNot, children, onClick, ...props }: ButtonProps) {
  const reasonId = useId();
  const refused = whyNot !== undefined;
  return (
    <>
      <button
        type="button"
        {...props}
        className={buttonClass(kind)}
        onClick={refused ? (event) => event.preventDefault() : onClick}
        aria-disabled={refused || undefined}
        aria-describedby={refused ? reasonId : props["aria-describedby"]}
        title={whyNot ?? props.title}
      >
        {children}
      </button>
      {refused && (
        <span id={reasonId} className="vh">
          {whyNot}
        </span>
      )}
    </>
  );
}

/** A link that looks like a button: it leads to another page. */
export function LinkButton({ kind = "default", ...props }: LinkProps & { kind?: ButtonKind }) {
  return <Link {...props} className={buttonClass(kind)} />;
}

/** The class of an `<a>` that downloads. */
export function buttonClass(kind: ButtonKind = "default"): string {
  return `${styles.button ?? ""} ${styles[kind] ?? ""}`;
}
