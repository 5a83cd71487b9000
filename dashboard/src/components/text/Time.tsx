/** Times as people say them; the exact one on hover. */

import { useNow } from "@/app/clock";
import { formatAge, formatDuration, formatExact, formatWhen, secondsBetween } from "@/format/times";

/** "4 min ago". */
export function Age({ at }: { at: string }) {
  const now = useNow();
  return <Exact at={at}>{formatAge(secondsBetween(at, now))}</Exact>;
}

/** "11:15" for today, else the date; UTC. */
export function Time({ at }: { at: string }) {
  const now = useNow();
  return <Exact at={at}>{formatWhen(new Date(at), now)}</Exact>;
}

/** "2 min 02 s": between two times, or from one until now, counting. */
export function Duration({ from, to }: { from: string; to?: string | null }) {
  const now = useNow();
  return <span className="nowrap">{formatDuration(secondsBetween(from, to ?? now))}</span>;
}

function Exact({ at, children }: { at: string; children: string }) {
  return (
    <time className="nowrap" dateTime={at} title={formatExact(new Date(at))}>
      {children}
    </time>
  );
}
