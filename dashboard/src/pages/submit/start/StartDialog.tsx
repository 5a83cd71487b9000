/** Everything that a new job can be started from. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";

import { jobsQuery } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Dialog } from "@/components/controls/Dialog";
import { Status } from "@/components/marks/Status";
import { QueryState } from "@/components/states/QueryState";
import { jobTitle } from "@/format/names";
import { plural } from "@/format/numbers";

import styles from "../submit.module.css";
import { describe, examplesQuery, type Example } from "./start";

const RECENT_JOBS = 6;

interface StartDialogProps {
  isOpen: boolean;
  onClose: () => void;
}

export function StartDialog({ isOpen, onClose }: StartDialogProps) {
  const examples = useQuery({ ...examplesQuery, enabled: isOpen });
  return (
    <Dialog
      title="Start from"
      isOpen={isOpen}
      onClose={onClose}
      wide
      actions={<Button onClick={onClose}>Close</Button>}
    >
      <div className={styles.starts}>
        <QueryState query={examples}>
          {({ data }) => (
            <>
              <Group title="An example" examples={data} group="example" onChoose={onClose} />
              <RecentJobs isOpen={isOpen} onChoose={onClose} />
              <Group title="The paper" examples={data} group="paper" onChoose={onClose} />
            </>
          )}
        </QueryState>
      </div>
    </Dialog>
  );
}

interface GroupProps {
  title: string;
  examples: readonly Example[];
  group: Example["group"];
  onChoose: () => void;
}

function Group({ title, examples, group, onChoose }: GroupProps) {
  return (
    <section>
      <h3>{title}</h3>
      <ul>
        {examples
          .filter((example) => example.group === group)
          .map((example) => (
            <li key={example.name}>
              <ExampleLink example={example} onChoose={onChoose} />
              <span className="sub">{describe(example)}</span>
              {example.jobs.length > 0 && <TableLines example={example} onChoose={onChoose} />}
            </li>
          ))}
      </ul>
    </section>
  );
}

interface ExampleProps {
  example: Example;
  onChoose: () => void;
}

function ExampleLink({ example, onChoose }: ExampleProps) {
  return (
    <Link to={`/submit?${addressOf(example.name)}`} onClick={onChoose}>
      {example.title}
    </Link>
  );
}

/** One line of a table, as a single job. */
function TableLines({ example, onChoose }: ExampleProps) {
  return (
    <details>
      <summary className="small">One of its {plural(example.jobs.length, "line")}</summary>
      <ul className={styles.lines}>
        {example.jobs.map(({ line }) => (
          <li key={line}>
            <Link to={`/submit?${addressOf(example.name, line)}`} onClick={onChoose}>
              {line}
            </Link>
          </li>
        ))}
      </ul>
    </details>
  );
}

function addressOf(example: string, line?: string): string {
  return new URLSearchParams({ example, ...(line === undefined ? {} : { line }) }).toString();
}

function RecentJobs({ isOpen, onChoose }: { isOpen: boolean; onChoose: () => void }) {
  const kinds = ["distillation" as const, "adversarial_training" as const, "evaluation" as const];
  const jobs = useQuery({ ...jobsQuery({ kind: kinds, limit: RECENT_JOBS }), enabled: isOpen });
  if (jobs.data === undefined || jobs.data.data.length === 0) return null;
  return (
    <section>
      <h3>A job of this project</h3>
      <ul>
        {jobs.data.data.map((job) => (
          <li key={job.id} className={styles.recent}>
            <Link to={`/submit?clone=${encodeURIComponent(job.id)}`} onClick={onChoose}>
              {jobTitle(job)}
            </Link>
            <Status status={job.status} />
          </li>
        ))}
      </ul>
    </section>
  );
}
