// Before the first paint, so that a remembered theme does not flash. See src/app/theme.ts.
try {
  const theme = localStorage.getItem("distill-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the page follows the system.
}
