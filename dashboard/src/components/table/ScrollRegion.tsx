/** A wide table scrolls inside its own region; the page itself never scrolls sideways. */

import { useEffect, useRef, useState, type ReactNode } from "react";

import styles from "./table.module.css";

export function ScrollRegion({ label, children }: { label: string; children: ReactNode }) {
  const region = useRef<HTMLDivElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useEffect(() => {
    const element = region.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => {
      setScrolls(element.scrollWidth > element.clientWidth + 1);
    });
    observer.observe(element);
    if (element.firstElementChild !== null) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, []);
  // Only what scrolls is a stop for the keyboard. No region: the section around it is one already.
  const keyboard = scrolls ? { tabIndex: 0, role: "group", "aria-label": label } : {};
  return (
    <div
      ref={region}
      className={`${styles.scroll ?? ""} ${scrolls ? (styles.scrolls ?? "") : ""}`}
      {...keyboard}
    >
      {children}
    </div>
  );
}
