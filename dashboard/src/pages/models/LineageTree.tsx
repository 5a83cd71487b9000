/** Teachers, then their students by method; the numbers are those of one threat model. */

import { Link } from "react-router";

import { Section } from "@/components/page/Section";
import { methodTitle } from "@/format/names";
import { formatInterval, formatShare, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import type { Section as Ranking } from "./data";
import type { TreeGroup, TreeModel } from "./lineage";
import styles from "./models.module.css";
import { measureLabel, parametersOf } from "./sentences";

interface LineageTreeProps {
  section: Ranking;
  trees: readonly TreeModel[];
}

export function LineageTree({ section, trees }: LineageTreeProps) {
  const { threat_model: threat, deciding } = section;
  const under = threat === null ? "" : ` at ${threatModelTitle(threat)}`;
  const note = `teacher, then its students by method · ${measureLabel(deciding)}${under}, %`;
  return (
    <Section title={`Lineage on ${section.dataset}`} note={note}>
      <ul className={styles.tree}>
        {trees.map((tree) => (
          <ModelNode key={tree.id} model={tree} deciding={deciding} isRoot />
        ))}
      </ul>
    </Section>
  );
}

interface NodeProps {
  model: TreeModel;
  deciding: string;
  isRoot?: boolean;
}

function ModelNode({ model, deciding, isRoot = false }: NodeProps) {
  const { id, name, row, groups } = model;
  const value = row?.results[deciding]?.value;
  return (
    <li>
      <div className={styles.node}>
        <Link className={isRoot ? "strong" : "quiet"} to={`/models/${id}`} title={name}>
          {name}
        </Link>
        <span className="small dim hide-phone">{row !== undefined && describe(row, isRoot)}</span>
        {value === undefined ? (
          <span className="small dim nowrap">not measured</span>
        ) : (
          <span className={`small ${isRoot ? "strong" : ""}`}>{formatShare(value)}</span>
        )}
      </div>
      {groups.length > 0 && (
        <ul>
          {groups.map((group, index) => (
            <GroupNode
              key={group.method}
              group={group}
              deciding={deciding}
              isOpen={isRoot && index === 0}
            />
          ))}
        </ul>
      )}
    </li>
  );
}

function describe(row: NonNullable<TreeModel["row"]>, isRoot: boolean): string {
  const method = isRoot && row.method !== null ? methodTitle(row.method) : undefined;
  const words = [method, row.architecture, parametersOf(row)];
  return words.filter((word) => word !== undefined).join(", ");
}

function GroupNode(props: { group: TreeGroup; deciding: string; isOpen: boolean }) {
  const { method, students, range } = props.group;
  const [low, high] = range ?? [];
  return (
    <li>
      <details open={props.isOpen}>
        <summary>
          <span className={styles.node}>
            <span className={`strong ${styles.open ?? ""}`}>
              {method === "" ? "Other" : methodTitle(method)}
            </span>
            <span className="small dim hide-phone">{plural(students.length, "student")}</span>
            <span className="small mid">
              {low !== undefined &&
                high !== undefined &&
                (low === high ? formatShare(low) : formatInterval([low, high]))}
            </span>
          </span>
        </summary>
        <ul>
          {students.map((student) => (
            <ModelNode key={student.id} model={student} deciding={props.deciding} />
          ))}
        </ul>
      </details>
    </li>
  );
}
