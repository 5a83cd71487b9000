import { Link } from "react-router";

import type { Sweep } from "@/api/queries";
import { Meter } from "@/components/marks/Meter";
import { Between, List, Section } from "@/components/page/Section";
import { shortId } from "@/format/names";
import { formatNumber } from "@/format/numbers";

import styles from "./overview.module.css";

/** How far the last sweeps are. */
export function Sweeps({ sweeps }: { sweeps: readonly Sweep[] }) {
  if (sweeps.length === 0) return null;
  return (
    <Section title="Sweeps" more={<Link to="/sweeps">All sweeps</Link>}>
      <List>
        {sweeps.map((sweep) => (
          <li key={sweep.id} className={styles.progress}>
            <Between>
              <Link className={styles.title} to={`/sweeps/${sweep.id}`} title={sweep.name ?? ""}>
                {sweep.name ?? `sweep ${shortId(sweep.id)}`}
              </Link>
              <span className="small dim">{stateOf(sweep)}</span>
            </Between>
            {!sweep.terminal && (
              <Meter value={ended(sweep)} max={sweep.size} label={stateOf(sweep)} />
            )}
          </li>
        ))}
      </List>
    </Section>
  );
}

function ended({ jobs }: Sweep): number {
  return (jobs.succeeded ?? 0) + (jobs.failed ?? 0) + (jobs.cancelled ?? 0);
}

/** "12 of 15 ended, 1 failed". */
function stateOf(sweep: Sweep): string {
  const failed = sweep.jobs.failed ?? 0;
  const suffix = failed > 0 ? `, ${formatNumber(failed)} failed` : "";
  return `${formatNumber(ended(sweep))} of ${formatNumber(sweep.size)} ended${suffix}`;
}
