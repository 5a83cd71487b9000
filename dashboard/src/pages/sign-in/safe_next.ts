/** The page to return to after signing in: a path of this dashboard, never another site. */

export function safeNext(next: string | null): string {
  const isPath = next !== null && /^\/(?![/\\])/.test(next);
  return isPath && !next.startsWith("/sign-in") ? next : "/";
}
