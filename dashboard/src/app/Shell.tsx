/** The frame of every page: navigation at the left, below 940 px one scrolling row at the top. */

import { useRef, type RefObject } from "react";
import { Link, Outlet, ScrollRestoration } from "react-router";

import type { Session } from "@/api/session";
import { LinkButton } from "@/components/controls/Button";
import { Brand, Icon } from "@/components/marks/Icon";

import { AccountMenu } from "./AccountMenu";
import { useFocusOnNavigation } from "./focus_on_navigation";
import { LiveMark } from "./LiveMark";
import { Navigation } from "./Navigation";
import styles from "./Shell.module.css";

type MainRef = RefObject<HTMLElement | null>;

export function Shell({ session }: { session: Session }) {
  const main = useRef<HTMLElement>(null);
  useFocusOnNavigation(main);
  return (
    <div className={styles.app}>
      <SkipLink main={main} />
      <header className={styles.side}>
        <Link className={styles.brand} to="/">
          <Brand />
          Distill
        </Link>
        {session.scopes.includes("submit") && (
          <LinkButton kind="primary" to="/submit">
            <Icon name="plus" />
            <span className={styles.newJob}>New job</span>
          </LinkButton>
        )}
        <Navigation />
        <div className={styles.foot}>
          <LiveMark />
          <AccountMenu session={session} />
        </div>
      </header>
      <main ref={main} id="main" className={styles.main} tabIndex={-1}>
        <Outlet />
      </main>
      <ScrollRestoration />
    </div>
  );
}

function SkipLink({ main }: { main: MainRef }) {
  return (
    <a
      className={styles.skip}
      href="#main"
      onClick={(event) => {
        // Not by its address: <base> would make that of another page.
        event.preventDefault();
        main.current?.focus();
      }}
    >
      Skip to content
    </a>
  );
}
