/** A button that opens a list of actions. */

import type { ReactNode } from "react";
import { Button } from "react-aria-components/Button";
import { Menu as AriaMenu, MenuItem, MenuTrigger } from "react-aria-components/Menu";
import { Popover } from "react-aria-components/Popover";

import { buttonClass, type ButtonKind } from "./Button";
import styles from "./controls.module.css";

export interface MenuAction {
  id: string;
  label: string;
  onAction: () => void;
  isDanger?: boolean;
  isDisabled?: boolean;
}

interface MenuProps {
  /** The button's content; with an icon only, give `label` too. */
  children: ReactNode;
  label?: string;
  kind?: ButtonKind;
  actions: readonly MenuAction[];
}

export function Menu({ children, label, kind = "default", actions }: MenuProps) {
  const disabled = actions.filter(({ isDisabled }) => isDisabled).map(({ id }) => id);
  return (
    <MenuTrigger>
      <Button
        className={buttonClass(kind)}
        {...(label === undefined ? {} : { "aria-label": label })}
      >
        {children}
      </Button>
      <Popover className={styles.popover ?? ""} placement="bottom end">
        <AriaMenu className={styles.menu ?? ""} disabledKeys={disabled}>
          {actions.map(({ id, label: text, onAction, isDanger = false }) => (
            <MenuItem
              key={id}
              id={id}
              onAction={onAction}
              className={`${styles.menuItem ?? ""} ${isDanger ? (styles.danger ?? "") : ""}`}
            >
              {text}
            </MenuItem>
          ))}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}
