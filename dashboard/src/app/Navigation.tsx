import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { NavLink, useLocation } from "react-router";

import { jobCountsQuery } from "@/api/queries";
import { useSession } from "@/api/session";
import { formatNumber } from "@/format/numbers";

import styles from "./Shell.module.css";

const MARGIN = 24;

interface Place {
  to: string;
  label: string;
  count?: number | undefined;
  beginsGroup?: boolean;
}

export function Navigation() {
  const places = usePlaces();
  const row = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const shown = places.map(({ label, count }) => `${label} ${count ?? ""}`).join();
  useEffect(() => showCurrent(row.current), [pathname, shown]);
  return (
    <nav ref={row} className={styles.nav} aria-label="Main">
      <ul>
        {places.map(({ to, label, count, beginsGroup = false }) => (
          <li key={to} className={beginsGroup ? styles.group : undefined}>
            <NavLink to={to} end={to === "/"}>
              {label}
              {count !== undefined && <span className={styles.count}>{formatNumber(count)}</span>}
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** On a phone the places are one scrolling row: the current one is moved into it. */
function showCurrent(row: HTMLElement | null): void {
  const current = row?.querySelector("[aria-current]");
  if (row == null || current == null) return;
  const { left, right } = current.getBoundingClientRect();
  const frame = row.getBoundingClientRect();
  if (left < frame.left) row.scrollLeft -= frame.left - left + MARGIN;
  if (right > frame.right) row.scrollLeft += right - frame.right + MARGIN;
}

function usePlaces(): Place[] {
  const session = useSession();
  const jobs = useQuery(jobCountsQuery()).data?.total;
  const operates = session?.scopes.some((scope) => scope === "admin" || scope === "operator");
  return [
    { to: "/", label: "Overview" },
    { to: "/jobs", label: "Jobs", count: jobs ?? undefined },
    { to: "/sweeps", label: "Sweeps" },
    { to: "/compare", label: "Compare" },
    { to: "/models", label: "Models", beginsGroup: true },
    { to: "/datasets", label: "Data sets" },
    ...(operates ? [{ to: "/operate", label: "Operate", beginsGroup: true }] : []),
  ];
}
