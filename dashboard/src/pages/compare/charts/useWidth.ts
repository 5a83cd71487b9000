/** The width of an element in pixels: a chart is drawn anew for it, so that type keeps its size. */

import { useEffect, useRef, useState } from "react";

export function useWidth(first: number) {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(first);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) setWidth(element.clientWidth);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { place, width };
}
