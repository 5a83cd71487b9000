/** Large figures in a row. Only a nonzero failure has color. */

import { Icon, type IconName } from "../marks/Icon";
import styles from "./page.module.css";

export interface TallyItem {
  label: string;
  icon: IconName;
  value: string;
  /** The line below: what the figure means. */
  detail: string;
  isBad?: boolean;
  hidePhone?: boolean;
}

export function Tally({ items }: { items: readonly TallyItem[] }) {
  return (
    <dl className={styles.tally}>
      {items.map(({ label, icon, value, detail, isBad = false, hidePhone = false }) => (
        <div key={label} className={hidePhone ? "hide-phone" : undefined}>
          <dt>
            <Icon name={icon} />
            {label}
          </dt>
          <dd className={isBad ? styles.bad : undefined}>{value}</dd>
          <dd>{detail}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Names and values, one pair a line. */
export function KeyValues({
  facts,
}: {
  facts: readonly { label: string; value: React.ReactNode }[];
}) {
  return (
    <dl className={styles.keyValues}>
      {facts.map(({ label, value }) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
