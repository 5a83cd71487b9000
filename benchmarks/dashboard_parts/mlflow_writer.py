"""Write runs into an SQLite store by MLflow's own client. Runs by an interpreter that has MLflow.

    PYTHON mlflow_writer.py STORE < RUNS

``RUNS``: a JSON array of objects with ``name``, ``metrics``, ``parameters``, ``step`` and
``started_at``. Prints the ids of the experiment and of the runs as JSON.
"""

import json
import sys

from mlflow import MlflowClient  # type: ignore[import-not-found]
from mlflow.entities import Metric, Param  # type: ignore[import-not-found]


def main() -> None:
    client = MlflowClient(tracking_uri=sys.argv[1])
    experiment_id = client.create_experiment("benchmark")
    run_ids = []
    for run in json.load(sys.stdin):
        started_at = run["started_at"]
        end = started_at + run["step"]
        created = client.create_run(experiment_id, start_time=started_at, run_name=run["name"])
        run_id = created.info.run_id
        metrics = [Metric(key, value, end, run["step"]) for key, value in run["metrics"].items()]
        parameters = [Param(key, str(value)) for key, value in run["parameters"].items()]
        client.log_batch(run_id, metrics, parameters)
        client.set_terminated(run_id, end_time=end)
        run_ids.append(run_id)
    print(json.dumps([experiment_id, run_ids]))


if __name__ == "__main__":
    main()
