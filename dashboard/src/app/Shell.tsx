/** The frame of every page: navigation at the left, below 940 px one scrolling row at the top. */

import { Suspense, useEffect, useRef, type RefObject } from "react";
import { Link, Outlet, ScrollRestoration, useLocation } from "react-router";

import type { Session } from "@/api/session";
import { LinkButton } from "@/components/controls/Button";
import { Brand, Icon } from "@/components/marks/Icon";
import { Loading } from "@/components/states/QueryState";

import { AccountMenu } from "./AccountMenu";
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
            New job
          </LinkButton>
        )}
        <Navigation />
        <div className={styles.foot}>
          <LiveMark />
          <AccountMenu session={session} />
        </div>
      </header>
      <main ref={main} id="main" className={styles.main} tabIndex={-1}>
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
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

/** A new page is announced by its heading; the first one leaves the focus where it is. */
function useFocusOnNavigation(main: MainRef): void {
  const { pathname } = useLocation();
  const previous = useRef(pathname);
  useEffect(() => {
    if (previous.current === pathname) return;
    previous.current = pathname;
    const heading = main.current?.querySelector("h1");
    (heading ?? main.current)?.focus({ preventScroll: true });
  }, [main, pathname]);
}
