import { useQuery } from "@tanstack/react-query";
import { NavLink } from "react-router";

import { jobsQuery } from "@/api/queries";
import { useSession } from "@/api/session";
import { formatNumber } from "@/format/numbers";

import styles from "./Shell.module.css";

interface Place {
  to: string;
  label: string;
  count?: number | undefined;
  beginsGroup?: boolean;
}

export function Navigation() {
  const places = usePlaces();
  return (
    <nav className={styles.nav} aria-label="Main">
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

function usePlaces(): Place[] {
  const session = useSession();
  const jobs = useQuery(jobsQuery({ limit: 1, include_total: true })).data?.total;
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
