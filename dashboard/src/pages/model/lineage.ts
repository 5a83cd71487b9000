/** A graph of models, jobs and data sets as a tree in the direction of time. Pure. */

import type { Lineage, LineageNode } from "./data";

export interface TreeNode {
  node: LineageNode;
  /** What it was to the job, or what made it: "teacher", "STARSHIP". */
  roles: string[];
  children: TreeNode[];
  /** It stands above already, with all that was made of it. */
  isRepeated: boolean;
}

/** Trees of what has no origin in the graph; each node's neighbors are shown once. */
export function treesOf(lineage: Lineage): TreeNode[] {
  const nodes = new Map(lineage.nodes.map((node) => [node.id, node]));
  const targets = new Set(lineage.edges.map(({ target }) => target));
  const shown = new Set<string>();
  const build = (node: LineageNode, roles: string[]): TreeNode => {
    const isRepeated = shown.has(node.id);
    shown.add(node.id);
    const children = isRepeated ? [] : childrenOf(lineage, node.id, nodes, build);
    return { node, roles, children, isRepeated };
  };
  const roots = lineage.nodes.filter(({ id }) => !targets.has(id));
  // The one with the root's own history first.
  const start = roots.length > 0 ? roots : lineage.nodes.slice(0, 1);
  return [...start].sort((a, b) => rank(a) - rank(b)).map((node) => build(node, []));
}

function rank({ type }: LineageNode): number {
  return type === "model" ? 0 : type === "job" ? 1 : 2;
}

function childrenOf(
  lineage: Lineage,
  id: string,
  nodes: ReadonlyMap<string, LineageNode>,
  build: (node: LineageNode, roles: string[]) => TreeNode,
): TreeNode[] {
  const roles = new Map<string, string[]>();
  for (const { source, target, role } of lineage.edges) {
    if (source === id) roles.set(target, [...(roles.get(target) ?? []), role]);
  }
  return [...roles].flatMap(([target, names]) => {
    const node = nodes.get(target);
    return node === undefined ? [] : [build(node, names)];
  });
}

const ROLES: Record<string, string> = {
  teacher: "as teacher",
  reference: "as reference",
  model: "measures it",
  start_from: "starts from it",
  extra: "as extra data",
  student: "made",
};

export function roleWords(roles: readonly string[]): string {
  return roles.map((role) => ROLES[role] ?? role).join(", ");
}

/** What the bounds of the graph left out. */
export function cutSentence({ cut, nodes }: Lineage): string | undefined {
  if (cut.length === 0) return undefined;
  return `More than these ${nodes.length} are related: open one of them to see its own lineage.`;
}
