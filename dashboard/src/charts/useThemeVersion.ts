/** Changes with every change of the theme: a canvas has to be drawn again in its colors. */

import { useEffect, useState } from "react";

export function useThemeVersion(): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const change = () => setVersion((old) => old + 1);
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", change);
    window.addEventListener("distill-theme", change);
    return () => {
      system.removeEventListener("change", change);
      window.removeEventListener("distill-theme", change);
    };
  }, []);
  return version;
}
