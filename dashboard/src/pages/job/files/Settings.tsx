/** Settings that differ from the job that it was cloned from, and all of them on request. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";

import { jobQuery, type Job } from "@/api/queries";
import { Dialog } from "@/components/controls/Dialog";
import { Field } from "@/components/controls/Field";
import { Note, Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { jobTitle } from "@/format/names";
import { formatNumber } from "@/format/numbers";

import styles from "../job.module.css";
import { differences, settingsOf, type Difference } from "./settings";

/** What says most of a job that was not cloned. */
const MAIN = /^(method|student|teacher|start_from|model|reference|radius|data\.dataset|seed)$/;
const MAIN_PARTS = /^(adversary(\.radius|\.steps)?|schedule\.(epochs|batch_size|learning_rate))$/;

function isMain(name: string): boolean {
  return MAIN.test(name) || MAIN_PARTS.test(name);
}

export function Settings({ job }: { job: Job }) {
  const former = useQuery({
    ...jobQuery(job.cloned_from ?? ""),
    enabled: job.cloned_from !== null,
    retry: false, // it may have been deleted
  }).data;
  const [isOpen, setOpen] = useState(false);
  const all = settingsOf(job.spec);
  const differing = former && differences(job.spec, former.spec);
  const note = former !== undefined && (
    <>
      differing from <Link to={`/jobs/${former.id}`}>{jobTitle(former)}</Link>
    </>
  );
  return (
    <Section title="Settings" note={note || undefined} span={4}>
      <div className={styles.settings}>
        {differing === undefined ? (
          <KeyValues
            facts={all
              .filter(({ name, value }) => isMain(name) && value !== "none")
              .map(({ name, value }) => ({ label: name, value }))}
          />
        ) : (
          <Differing differing={differing} />
        )}
      </div>
      <p className={styles.moreLine}>
        <button type="button" className={styles.linkButton} onClick={() => setOpen(true)}>
          All {formatNumber(all.length)} settings, defaults included
        </button>
      </p>
      <AllSettings job={job} isOpen={isOpen} onClose={() => setOpen(false)} />
    </Section>
  );
}

const MOST_DIFFERENCES = 8;

/** Whole lists of attacks and analyses last. */
function byLength(differing: readonly Difference[]): Difference[] {
  const isList = ({ value }: Difference) => Number(value.length > 60);
  return [...differing].sort((a, b) => isList(a) - isList(b));
}

function Differing({ differing }: { differing: readonly Difference[] }) {
  const [isAll, setAll] = useState(false);
  if (differing.length === 0) return <Note>No setting differs.</Note>;
  const shown = isAll ? differing : byLength(differing).slice(0, MOST_DIFFERENCES);
  return (
    <>
      <KeyValues
        facts={shown.map(({ name, value, former }) => ({
          label: name,
          value: (
            <>
              {value} <span className="dim">{former === undefined ? "new" : `was ${former}`}</span>
            </>
          ),
        }))}
      />
      {differing.length > shown.length && (
        <button type="button" className={styles.linkButton} onClick={() => setAll(true)}>
          {formatNumber(differing.length - shown.length)} more
        </button>
      )}
    </>
  );
}

interface AllSettingsProps {
  job: Job;
  isOpen: boolean;
  onClose: () => void;
}

function AllSettings({ job, isOpen, onClose }: AllSettingsProps) {
  const [text, setText] = useState("");
  const shown = settingsOf(job.spec).filter(({ name, value }) =>
    `${name} ${value}`.toLowerCase().includes(text.toLowerCase()),
  );
  return (
    <Dialog title={`Settings of ${jobTitle(job)}`} isOpen={isOpen} onClose={onClose} wide>
      <Field
        label="Search"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        hint={`${formatNumber(shown.length)} shown, as REST has them`}
      />
      <div className={`mono ${styles.allSettings ?? ""}`}>
        <KeyValues facts={shown.map(({ name, value }) => ({ label: name, value }))} />
      </div>
    </Dialog>
  );
}
