/** The run under the pointer: it is in full color in every chart of the page. */

export interface Hover {
  id: string | undefined;
  set: (id: string | undefined) => void;
}

/** For whatever stands for a run. */
export function hoverHandlers(hover: Hover, id: string) {
  return {
    onPointerEnter: () => hover.set(id),
    onPointerLeave: () => hover.set(undefined),
  };
}
