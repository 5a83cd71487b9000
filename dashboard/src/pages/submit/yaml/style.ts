/** How a spec is written: what fits is on one line, in braces. */

import { isMap, isScalar, isSeq, visit, type Document, type Node } from "yaml";

const LONGEST = 56;

/** Puts short objects and lists, with nothing but values in them, on one line each. */
export function compact(node: Document | Node): void {
  visit(node, {
    Collection: (_, collection, ancestors) => {
      collection.flow = false;
      if (ancestors.length <= 1 && isMap(collection)) return;
      const isShort = JSON.stringify(collection.toJSON()).length <= LONGEST;
      if (isShort && !holdsMaps(collection)) collection.flow = true;
    },
    Scalar: (_, scalar) => {
      if (scalar.type === "QUOTE_DOUBLE") delete scalar.type;
    },
  });
}

function holdsMaps(collection: Node): boolean {
  const values: unknown[] = isMap(collection)
    ? collection.items.map(({ value }) => value)
    : isSeq(collection)
      ? collection.items
      : [];
  return values.some((value) => !isScalar(value));
}
