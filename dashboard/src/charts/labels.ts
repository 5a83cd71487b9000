/** Places labels at line ends so that no two overlap. */

export const LABEL_GAP = 16;

/**
 * Returns positions (px from the top) close to the wished ones, in the same order, at least `gap`
 * apart and within [low, high] as far as they fit.
 */
export function pushApart(
  wishes: readonly number[],
  low: number,
  high: number,
  gap = LABEL_GAP,
): number[] {
  const order = wishes.map((_, index) => index).sort((a, b) => at(wishes, a) - at(wishes, b));
  // Groups of labels that touch move together, around the mean of their wishes.
  const groups: Group[] = [];
  for (const index of order) {
    let group: Group = { members: [index], top: at(wishes, index) };
    for (let last = groups.at(-1); last !== undefined; last = groups.at(-1)) {
      if (last.top + last.members.length * gap <= group.top) break;
      groups.pop();
      group = merge(last, group, wishes, gap);
    }
    group.top = clamp(group.top, low, high - (group.members.length - 1) * gap);
    groups.push(group);
  }
  const positions = wishes.map(() => 0);
  for (const { members, top } of groups) {
    members.forEach((member, rank) => {
      positions[member] = top + rank * gap;
    });
  }
  return spread(positions, order, low, gap);
}

interface Group {
  members: number[];
  top: number;
}

function merge(upper: Group, lower: Group, wishes: readonly number[], gap: number): Group {
  const members = [...upper.members, ...lower.members];
  const offsets = members.map((member, rank) => at(wishes, member) - rank * gap);
  const top = offsets.reduce((sum, offset) => sum + offset, 0) / members.length;
  return { members, top };
}

/** Clamping at the lower edge may have moved groups into each other: from the bottom up. */
function spread(positions: number[], order: readonly number[], low: number, gap: number): number[] {
  for (let rank = order.length - 2; rank >= 0; rank -= 1) {
    const index = order[rank] ?? 0;
    const limit = at(positions, order[rank + 1] ?? 0) - gap;
    if (at(positions, index) > limit) positions[index] = Math.max(low, limit);
  }
  return positions;
}

function at(values: readonly number[], index: number): number {
  return values[index] ?? 0;
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(value, high));
}
