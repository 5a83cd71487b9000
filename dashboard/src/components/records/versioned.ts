/** An item with its ETag: a change of it depends on nobody having changed it since. */

import { ApiProblem } from "@/api/problem";

export interface Versioned<Item> {
  item: Item;
  etag: string | undefined;
}

/** Reads an item and its ETag from the answer of `api.GET`. */
export async function withEtag<Item>(
  request: Promise<{ data?: Item; response: Response }>,
): Promise<Versioned<Item>> {
  const { data, response } = await request;
  return { item: data as Item, etag: response.headers.get("ETag") ?? undefined };
}

/** "If-Match" of a change; a weak tag and a strong one compare alike. */
export function ifMatch({ etag }: Pick<Versioned<unknown>, "etag">): { "If-Match"?: string } {
  return etag === undefined ? {} : { "If-Match": etag };
}

/** Whether somebody else has changed the item in the meantime. */
export function isOutdated(error: unknown): boolean {
  return error instanceof ApiProblem && error.status === 412;
}

/** What is wrong with a field of the body: of `path`, or of what is below it. */
export function fieldError(error: unknown, ...path: string[]): string | undefined {
  if (!(error instanceof ApiProblem)) return undefined;
  const match = error.errors.find((problem) =>
    path.every((part, index) => String(problem.path[index]) === part),
  );
  return match?.message;
}
