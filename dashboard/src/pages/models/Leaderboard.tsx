/** One ranking: models that were tested on one data set under one threat model. */

import { useMemo } from "react";
import { Link } from "react-router";

import type { Model } from "@/api/queries";
import { Section } from "@/components/page/Section";
import type { Sort } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { formatNumber } from "@/format/numbers";
import { formatRadius, threatModelTitle } from "@/format/threat_model";

import { columnsOf } from "./columns";
import type { Section as Ranking } from "./data";
import styles from "./models.module.css";
import { notMeasuredSentence, RANK_NOTE, sectionNote } from "./sentences";

const FIRST_ROWS = 10;
/** An evaluation of several models is a sweep; its address has to stay short. */
const MOST_TO_MEASURE = 40;

interface LeaderboardProps {
  section: Ranking;
  isFirst: boolean;
  teachers: ReadonlySet<string>;
  /** Models that could be in it and are not. */
  missing: readonly Model[];
  sort: Sort | undefined;
  onSort: (sort: Sort) => void;
  showsAll: boolean;
  onShowAll: () => void;
}

export function Leaderboard(props: LeaderboardProps) {
  const { section, isFirst, teachers, missing, showsAll } = props;
  const columns = useMemo(() => columnsOf(section, teachers), [section, teachers]);
  const isKnown = columns.some(({ id }) => id === props.sort?.column);
  const sort = isKnown ? props.sort : { column: section.deciding, descending: true };
  const rows = showsAll ? section.rows : section.rows.slice(0, FIRST_ROWS);
  const threat = section.threat_model;
  const title = threat === null ? "no attack" : threatModelTitle(threat);
  return (
    <Section title={`${section.dataset} · ${title}`} note={sectionNote(section, isFirst)}>
      <DataTable
        label={`Models on ${section.dataset}, ${title}`}
        rows={rows}
        columns={columns}
        rowId={({ model_id: id }) => id}
        sort={sort}
        onSort={props.onSort}
        tall
      />
      <p className={styles.after}>
        {rows.length < section.rows.length && (
          <>
            <button type="button" className={styles.inline} onClick={props.onShowAll}>
              {formatNumber(section.rows.length - rows.length)} more
            </button>
            {" · "}
          </>
        )}
        {isFirst && RANK_NOTE} {section.has_more && "The service ranks the best 200 only. "}
        {missing.length > 0 && !section.has_more && (
          <>
            {notMeasuredSentence(missing.length)} <MeasureLink section={section} models={missing} />
          </>
        )}
      </p>
    </Section>
  );
}

function MeasureLink({ section, models }: { section: Ranking; models: readonly Model[] }) {
  const threat = section.threat_model;
  if (threat?.norm === "l2") return null; // an evaluation names its norm in the form
  const some = models.slice(0, MOST_TO_MEASURE);
  const query = new URLSearchParams({
    evaluate: some.map(({ id }) => id).join(","),
    dataset: section.dataset,
    ...(threat === null ? {} : { radius: formatRadius(threat.radius) }),
  });
  const isAll = some.length === models.length;
  return (
    <Link to={`/submit?${query.toString()}`}>
      {isAll ? (models.length === 1 ? "Measure it" : "Measure them") : `Measure ${some.length}`}
    </Link>
  );
}
