/** Settings that differ from the job that it was cloned from, and all of them on request. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";

import { jobQuery, type Job, type Model } from "@/api/queries";
import { Button } from "@/components/controls/Button";
import { Dialog } from "@/components/controls/Dialog";
import { Field } from "@/components/controls/Field";
import { Note, Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { jobTitle } from "@/format/names";
import { formatNumber } from "@/format/numbers";
import { byInterest } from "@/format/settings";

import styles from "../job.module.css";
import { differences, settingsOf, type Difference } from "./settings";

/** What says most of a job that was not cloned. */
const MAIN = /^(method|student|teacher|start_from|model|reference|radius|data\.dataset|seed)$/;
const MAIN_PARTS = /^(adversary(\.radius|\.steps)?|schedule\.(epochs|batch_size|learning_rate))$/;

function isMain(name: string): boolean {
  return MAIN.test(name) || MAIN_PARTS.test(name);
}

interface SettingsProps {
  job: Job;
  /** Whose id the spec has. */
  teacher: Model | undefined;
}

export function Settings({ job, teacher }: SettingsProps) {
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
            facts={byInterest(all, ({ name }) => name)
              .filter(({ name, value }) => isMain(name) && value !== "none")
              .map(({ name, value }) => ({
                label: name,
                value: value === teacher?.id ? <TeacherLink teacher={teacher} /> : value,
              }))}
          />
        ) : (
          <Differing differing={differing} />
        )}
      </div>
      <p className={styles.moreLine}>
        <Button kind="link" onClick={() => setOpen(true)}>
          All {formatNumber(all.length)} settings, defaults included
        </Button>
      </p>
      <AllSettings job={job} isOpen={isOpen} onClose={() => setOpen(false)} />
    </Section>
  );
}

function TeacherLink({ teacher }: { teacher: Model }) {
  return <Link to={`/models/${teacher.id}`}>{teacher.name}</Link>;
}

const MOST_DIFFERENCES = 8;

function Differing({ differing }: { differing: readonly Difference[] }) {
  const [isAll, setAll] = useState(false);
  if (differing.length === 0) return <Note>No setting differs.</Note>;
  const ordered = byInterest(differing, ({ name }) => name);
  const shown = isAll ? ordered : ordered.slice(0, MOST_DIFFERENCES);
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
        <Button kind="link" onClick={() => setAll(true)}>
          {formatNumber(differing.length - shown.length)} more
        </Button>
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
  const all = byInterest(settingsOf(job.spec), ({ name }) => name);
  const shown = all.filter(({ name, value }) =>
    `${name} ${value}`.toLowerCase().includes(text.toLowerCase()),
  );
  return (
    <Dialog title={`Settings of ${jobTitle(job)}`} isOpen={isOpen} onClose={onClose} wide>
      <Field
        label="Search"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        hint={`${formatNumber(shown.length)} shown, under their names in REST`}
      />
      <div className={`mono ${styles.allSettings ?? ""}`}>
        <KeyValues facts={shown.map(({ name, value }) => ({ label: name, value }))} />
      </div>
    </Dialog>
  );
}
