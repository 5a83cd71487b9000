/** Views of one thing, one at a time. */

import type { ReactNode } from "react";
import { Tab, TabList, TabPanel, Tabs as AriaTabs } from "react-aria-components/Tabs";

import styles from "./controls.module.css";

export interface TabItem {
  id: string;
  title: ReactNode;
  content: ReactNode;
}

interface TabsProps {
  /** What the views are of, for a screen reader. */
  label: string;
  items: readonly TabItem[];
  selected: string;
  onSelect: (id: string) => void;
  /** At the right of the row. */
  more?: ReactNode;
}

export function Tabs({ label, items, selected, onSelect, more }: TabsProps) {
  return (
    <AriaTabs
      selectedKey={selected}
      onSelectionChange={(key) => onSelect(String(key))}
      className={styles.tabs ?? ""}
    >
      <div className={styles.tabRow}>
        <TabList aria-label={label} className={styles.tabList ?? ""}>
          {items.map(({ id, title }) => (
            <Tab key={id} id={id} className={styles.tab ?? ""}>
              {title}
            </Tab>
          ))}
        </TabList>
        {more !== undefined && <div className={styles.tabMore}>{more}</div>}
      </div>
      {items.map(({ id, content }) => (
        <TabPanel key={id} id={id} className={styles.tabPanel ?? ""}>
          {content}
        </TabPanel>
      ))}
    </AriaTabs>
  );
}
