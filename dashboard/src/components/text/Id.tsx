/** The last seven characters of an id, in mono; all of it on hover. */

import { shortId } from "@/format/names";

export function Id({ id }: { id: string }) {
  return (
    <span className="mono" title={id}>
      {shortId(id)}
    </span>
  );
}
