/** What the model was made from, and what was made from it. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { Section } from "@/components/page/Section";
import { QueryState } from "@/components/states/QueryState";
import { decidingResult } from "@/format/measures";
import { kindTitle, methodTitle, shortId } from "@/format/names";
import { formatShare, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import { lineageQuery, type Lineage as Graph, type LineageNode } from "./data";
import { cutSentence, roleWords, treesOf, type TreeNode } from "./lineage";
import styles from "./model.module.css";

export function Lineage({ id }: { id: string }) {
  const lineage = useQuery(lineageQuery(id));
  return (
    <Section title="Lineage" note="from what is older to what was made of it">
      <QueryState query={lineage}>{(graph) => <Trees graph={graph} />}</QueryState>
    </Section>
  );
}

function Trees({ graph }: { graph: Graph }) {
  const cut = cutSentence(graph);
  return (
    <>
      <ul className={styles.tree}>
        {treesOf(graph).map((tree) => (
          <Branch key={tree.node.id} tree={tree} root={graph.root} />
        ))}
      </ul>
      {cut !== undefined && <p className="small dim">{cut}</p>}
    </>
  );
}

function Branch({ tree, root }: { tree: TreeNode; root: string }) {
  const { node, roles, children, isRepeated } = tree;
  return (
    <li>
      <div className={styles.node}>
        <span className={styles.clip}>
          <NodeName node={node} isCurrent={node.id === root} />{" "}
          <span className="small dim">
            {[
              node.type === "job" ? roleWords(roles) : "",
              node.deleted ? "deleted" : "",
              isRepeated ? "see above" : "",
            ]
              .filter((word) => word !== "")
              .join(", ")}
          </span>
        </span>
        <span className="small dim hide-phone">{describe(node)}</span>
        <span className="small">{node.type === "model" && resultOf(node)}</span>
      </div>
      {children.length > 0 && (
        <ul>
          {children.map((child) => (
            <Branch key={child.node.id} tree={child} root={root} />
          ))}
        </ul>
      )}
    </li>
  );
}

const PAGES = { model: "models", job: "jobs", dataset: "datasets" };

function NodeName({ node, isCurrent }: { node: LineageNode; isCurrent: boolean }) {
  const { id, type, name, kind, deleted } = node;
  const fallback = `${kind === null || kind === undefined ? type : kindTitle(kind)} ${shortId(id)}`;
  const text = name ?? fallback;
  if (isCurrent) {
    return (
      <strong aria-current="true" title={text}>
        {text}
      </strong>
    );
  }
  if (deleted) return <span title={text}>{text}</span>;
  return (
    <Link className={type === "model" ? "" : "quiet"} to={`/${PAGES[type]}/${id}`} title={text}>
      {text}
    </Link>
  );
}

function describe(node: LineageNode): string {
  const { type, method, kind, architecture, parameters } = node;
  if (type === "job") return method == null ? kindTitle(kind ?? "") : methodTitle(method);
  const size = parameters == null ? undefined : plural(parameters, "parameter");
  return [architecture, size].filter((word) => word != null).join(", ");
}

/** Each with its threat model: neighbors may have been measured under others. */
function resultOf({ results = {}, deciding: keys = [] }: LineageNode): string {
  const deciding = decidingResult(results, keys);
  const threat = deciding?.measure.threatModel;
  if (deciding === undefined || threat === undefined) return "";
  return `${formatShare(deciding.value)} % ${deciding.measure.label}, ${threatModelTitle(threat)}`;
}
