/** What can be done with the selected jobs. */

import { useState } from "react";
import { useNavigate } from "react-router";

import type { JobSummary } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { ConfirmDialog } from "@/components/controls/Dialog";
import { Menu } from "@/components/controls/Menu";
import { SelectionBar } from "@/components/table/SelectionBar";
import { jobTitle } from "@/format/names";

import type { JobAction } from "./actions";
import styles from "./jobs.module.css";
import { applicable, jobsText } from "./sentences";

const MOST_COMPARED = 300;
const MOST_NAMES = 50;

interface SelectionProps {
  ids: ReadonlySet<string>;
  /** Those of them that have been read. */
  jobs: readonly JobSummary[];
  isBusy: boolean;
  onAct: (action: JobAction, jobs: readonly JobSummary[]) => Promise<void>;
  onClear: () => void;
}

/** An action, and why it is not possible for these jobs. */
interface Offer {
  id: string;
  label: string;
  whyNot: string | undefined;
  run: () => void;
  isDanger?: boolean;
}

export function Selection({ ids, jobs, isBusy, onAct, onClear }: SelectionProps) {
  const count = ids.size;
  const [question, setQuestion] = useState<"cancel" | "delete">();
  const navigate = useNavigate();
  const [only] = jobs;
  const compare = () => void navigate(`/compare?jobs=${[...ids].join(",")}`);
  const clone = () => void navigate(`/submit?clone=${only?.id ?? ""}`);
  const act = (action: Exclude<JobAction, "restore">) =>
    void onAct(action, applicable(action, jobs));
  const offers = offersOf(jobs, count, { ask: setQuestion, retry: () => act("retry"), clone });
  return (
    <>
      <SelectionBar count={count} onClear={onClear}>
        <Button kind="primary" whyNot={whyNotCompare(count)} onClick={compare}>
          Compare
        </Button>
        <Offers offers={offers} isBusy={isBusy} />
      </SelectionBar>
      {question !== undefined && (
        <Question
          action={question}
          jobs={applicable(question, jobs)}
          others={count - applicable(question, jobs).length}
          onClose={() => setQuestion(undefined)}
          onConfirm={() => {
            setQuestion(undefined);
            act(question);
          }}
        />
      )}
    </>
  );
}

interface Ways {
  ask: (action: "cancel" | "delete") => void;
  retry: () => void;
  clone: () => void;
}

function offersOf(jobs: readonly JobSummary[], count: number, ways: Ways): Offer[] {
  const whyNot = (action: "cancel" | "retry" | "delete", reason: string) =>
    applicable(action, jobs).length > 0 ? undefined : reason;
  return [
    {
      id: "cancel",
      label: "Cancel",
      whyNot: whyNot("cancel", "None of them waits or runs."),
      run: () => ways.ask("cancel"),
    },
    {
      id: "retry",
      label: "Retry",
      whyNot: whyNot("retry", "None of them was cancelled, or failed in a way that may pass."),
      run: ways.retry,
    },
    {
      id: "clone",
      label: "Clone",
      whyNot: count === 1 ? undefined : "One job at a time.",
      run: ways.clone,
    },
    {
      id: "delete",
      label: "Delete",
      whyNot: whyNot("delete", "None of them has ended."),
      run: () => ways.ask("delete"),
      isDanger: true,
    },
  ];
}

/** Buttons; on a phone one menu. */
function Offers({ offers, isBusy }: { offers: readonly Offer[]; isBusy: boolean }) {
  return (
    <>
      {offers.map(({ id, label, whyNot, run, isDanger = false }) => (
        <span key={id} className="hide-phone">
          <Button
            kind={isDanger ? "danger" : "default"}
            whyNot={whyNot}
            disabled={isBusy}
            onClick={run}
          >
            {label}
          </Button>
        </span>
      ))}
      <span className={styles.phoneOnly}>
        <Menu
          actions={offers.map(({ id, label, whyNot, run, isDanger = false }) => ({
            id,
            label,
            onAction: run,
            isDanger,
            isDisabled: isBusy || whyNot !== undefined,
          }))}
        >
          More
        </Menu>
      </span>
    </>
  );
}

function whyNotCompare(count: number): string | undefined {
  if (count < 2) return "Select two jobs or more.";
  return count > MOST_COMPARED ? `At most ${MOST_COMPARED} jobs at once.` : undefined;
}

interface QuestionProps {
  action: "cancel" | "delete";
  jobs: readonly JobSummary[];
  /** Selected, but in a state in which it is not possible. */
  others: number;
  onConfirm: () => void;
  onClose: () => void;
}

function Question({ action: verb, jobs, others, onConfirm, onClose }: QuestionProps) {
  const isDelete = verb === "delete";
  const files = jobs.length === 1 ? "its files" : "their files";
  const object = isDelete ? `${jobsText(jobs)} and ${files}` : jobsText(jobs);
  return (
    <ConfirmDialog
      title={`${isDelete ? "Delete" : "Cancel"} ${object}?`}
      action={isDelete ? "Delete" : "Cancel them"}
      isOpen
      onConfirm={onConfirm}
      onClose={onClose}
    >
      <p>
        {isDelete
          ? "Published students stay. For some days a deleted job can be restored."
          : "One that runs is stopped at its next step. A cancelled job can be retried: it goes on from its last checkpoint."}
      </p>
      {jobs.length > 1 && (
        <ul className={styles.names}>
          {jobs.slice(0, MOST_NAMES).map((job) => (
            <li key={job.id}>
              <bdi>{jobTitle(job)}</bdi>
            </li>
          ))}
          {jobs.length > MOST_NAMES && <li>and {jobs.length - MOST_NAMES} more</li>}
        </ul>
      )}
      {others > 0 && (
        <p>
          {others} of the selected {others === 1 ? "job is" : "jobs are"} left as{" "}
          {others === 1 ? "it is" : "they are"}:{" "}
          {isDelete ? "only a job that has ended can be deleted." : "ended already."}
        </p>
      )}
    </ConfirmDialog>
  );
}
