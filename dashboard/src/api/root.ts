/**
 * The path prefix behind which the service is mounted, "" or "/distill", as the server has written
 * it into the page (DISTILL_ROOT_PATH). Every address of the dashboard begins with it.
 */
export const ROOT =
  document
    .querySelector<HTMLMetaElement>('meta[name="distill-root"]')
    ?.content.replace(/\/+$/, "") ?? "";
