/** The state of an uploaded model or data set as shape, word and color. */

import { StatusMark, type Tone } from "../marks/Status";
import type { IconName } from "../marks/Icon";

export type ItemState = "awaiting_upload" | "importing" | "ready" | "refused";

const STATES: Record<ItemState, { word: string; icon: IconName; tone: Tone }> = {
  awaiting_upload: { word: "Awaiting upload", icon: "queued", tone: "neutral" },
  importing: { word: "Importing", icon: "running", tone: "run" },
  ready: { word: "Ready", icon: "succeeded", tone: "ok" },
  refused: { word: "Refused", icon: "failed", tone: "bad" },
};

export function ItemStatus({ status, pill = false }: { status: ItemState; pill?: boolean }) {
  const { word, icon, tone } = STATES[status];
  return (
    <StatusMark icon={icon} tone={tone} pill={pill}>
      {word}
    </StatusMark>
  );
}
