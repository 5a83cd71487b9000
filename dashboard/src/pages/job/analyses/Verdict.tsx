/** What student and teacher predict of one image, before and under attack. */

import { formatPercent } from "@/format/numbers";

import styles from "../job.module.css";
import type { Example, Prediction } from "./examples";

interface VerdictProps {
  example: Example;
  classNames: readonly string[];
}

export function Verdict({ example, classNames }: VerdictProps) {
  const { label, index, network, reference } = example;
  const name = (number: number) => classNames[number] ?? String(number);
  const networks = [
    { title: reference === undefined ? "network" : "student", predictions: network },
    ...(reference === undefined ? [] : [{ title: "teacher", predictions: reference }]),
  ];
  return (
    <table className={styles.verdict}>
      <caption className="vh">
        Image {index}, label {name(label)}
      </caption>
      <thead>
        <tr>
          <th scope="col" title={name(label)}>
            label {name(label)}
          </th>
          <th scope="col">clean</th>
          <th scope="col">attacked</th>
        </tr>
      </thead>
      <tbody>
        {networks.map(({ title, predictions }) => (
          <tr key={title}>
            <th scope="row">{title}</th>
            <PredictionCell prediction={predictions.clean} label={label} name={name} />
            <PredictionCell prediction={predictions.attacked} label={label} name={name} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface PredictionCellProps {
  prediction: Prediction;
  label: number;
  name: (label: number) => string;
}

function PredictionCell({ prediction: of, label, name }: PredictionCellProps) {
  if (of.prediction === null) return <td>not finite</td>;
  const isRight = of.prediction === label;
  return (
    <td className={isRight ? undefined : styles.wrong} title={name(of.prediction)}>
      {name(of.prediction)}
      {!isRight && <span className="vh"> (wrong)</span>}{" "}
      {of.probability !== null && <span className="dim">{formatPercent(of.probability, 0)}</span>}
    </td>
  );
}
