"""What a data scientist does in a week, with the official `mlflow` package and nothing but its environment variables.

    python mlflow_session.py MEGABYTES FILE

Writes one JSON object to FILE: for each chapter what the client saw, or the exception that ended it. Chapters share
an experiment and depend on nothing else of each other. MEGABYTES is the size of the large artifact.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from mlflow.artifacts import download_artifacts, load_text
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

NAME = f"fraud/größe {uuid.uuid4().hex[:6]}"
METRICS = 1000
RUNS = 7
PAGE = 3
AWKWARD = "plots/a b&c=d+e 100% größe.txt"
"""An artifact's path with what is easily lost on the way, but nothing that climbs."""

Seen = dict[str, Any]


class Story:
    """One experiment of its own on the server; the name stays, so that the UI can show it."""

    def __init__(self, megabytes: int) -> None:
        self.client = mlflow.MlflowClient()
        self.megabytes = megabytes
        self.experiment = self.client.create_experiment(NAME)
        mlflow.set_experiment(experiment_id=self.experiment)

    def new_run(self) -> Any:
        return self.client.create_run(self.experiment, run_name=f"run {uuid.uuid4().hex[:6]}")


def runs(story: Story) -> Seen:
    client, run = story.client, story.new_run().info.run_id
    now = int(time.time() * 1000)
    batch = [Metric("loss", 1 / (step + 1), now, step) for step in range(METRICS)]
    client.log_batch(run, metrics=batch, params=[Param("depth", "5")], tags=[RunTag("team", "risk & fraud")])
    client.set_terminated(run)
    seen = client.get_run(run)
    history = client.get_metric_history(run, "loss")
    return {
        "run": run,
        "history": len(history),
        "last": seen.data.metrics["loss"],
        "param": seen.data.params["depth"],
        "tag": seen.data.tags["team"],
        "status": seen.info.status,
    }


def search(story: Story) -> Seen:
    client = story.client
    made = {story.new_run().info.run_id for _ in range(RUNS)}
    for number, run in enumerate(sorted(made)):
        client.set_tag(run, "chapter", "search")
        client.log_metric(run, "number", number)
    found: list[str] = []
    pages, token = 0, None
    while pages == 0 or token:
        page = client.search_runs([story.experiment], "tags.chapter = 'search'", max_results=PAGE, page_token=token)
        found += [run.info.run_id for run in page]
        pages, token = pages + 1, page.token
    named = client.search_experiments(filter_string=f"name = '{NAME}'")
    return {
        "pages": pages,
        "all": set(found) == made and len(found) == RUNS,
        "found_by_name": [each.name for each in named] == [NAME],
    }


def artifacts(story: Story) -> Seen:
    client, run = story.client, story.new_run()
    client.log_text(run.info.run_id, "as it was sent", AWKWARD)
    listed = [each.path for each in client.list_artifacts(run.info.run_id, "plots")]
    text = load_text(f"{run.info.artifact_uri}/{AWKWARD}")
    get_artifact_repository(run.info.artifact_uri).delete_artifacts("plots")
    left = client.list_artifacts(run.info.run_id)
    return {"listed": listed, "text": text, "left": len(left)}


def large_artifact(story: Story) -> Seen:
    client, run = story.client, story.new_run().info.run_id
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "weights.bin"
        with file.open("wb") as out:
            for number in range(story.megabytes):
                out.write(hashlib.sha256(str(number).encode()).digest() * (2**20 // 32))
        client.log_artifact(run, str(file))
        back = Path(download_artifacts(run_id=run, artifact_path=file.name, dst_path=f"{directory}/back"))
        return {"bytes": back.stat().st_size, "same": digest(back) == digest(file)}


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class Doubler(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is not typed here
    def predict(self, context: Any, model_input: list[int], params: Any = None) -> list[int]:
        return [2 * number for number in model_input]


def models(story: Story) -> Seen:
    client, name = story.client, f"doubler-{uuid.uuid4().hex[:8]}"
    for _ in range(2):
        mlflow.pyfunc.log_model(name="model", python_model=Doubler(), registered_model_name=name, pip_requirements=[])
    client.set_registered_model_alias(name, "champion", "1")
    client.set_model_version_tag(name, "2", "stage", "challenger")
    found = client.search_model_versions(f"name = '{name}'")
    told = {
        "versions": sorted(int(each.version) for each in found),
        "champion": int(client.get_model_version_by_alias(name, "champion").version),
        "tag": client.get_model_version(name, "2").tags["stage"],
        "predicted": list(mlflow.pyfunc.load_model(f"models:/{name}@champion").predict([1, 2, 21])),
    }
    client.delete_registered_model_alias(name, "champion")
    client.delete_model_version(name, "1")
    client.rename_registered_model(name, f"{name}-renamed")
    client.delete_registered_model(f"{name}-renamed")
    return told | {"left": len(client.search_registered_models(f"name LIKE '{name}%'"))}


def traces(story: Story) -> Seen:
    with mlflow.start_span("question") as span:
        span.set_inputs({"question": "Is it größer?"})
        with mlflow.start_span("retrieval"):
            pass
        span.set_outputs({"answer": "yes"})
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_trace(span.trace_id)
    mlflow.set_trace_tag(span.trace_id, "reviewed", "yes")
    mlflow.log_feedback(trace_id=span.trace_id, name="correct", value=True)
    found = mlflow.search_traces(locations=[story.experiment], return_type="list")
    return {
        "spans": sorted(each.name for each in trace.data.spans),
        "found": [each.info.trace_id for each in found] == [span.trace_id],
        "tag": found[0].info.tags["reviewed"],
        "feedback": [each.name for each in found[0].info.assessments],
    }


def prompts(story: Story) -> Seen:
    name = f"judge-{uuid.uuid4().hex[:8]}"
    for wording in ("Is {{ answer }} right?", "Is {{ answer }} right, and why?"):
        mlflow.genai.register_prompt(name=name, template=wording)
    mlflow.genai.set_prompt_alias(name, alias="production", version=2)
    loaded = mlflow.genai.load_prompt(f"prompts:/{name}@production")
    return {"version": loaded.version, "text": loaded.format(answer="42")}


def datasets(story: Story) -> Seen:
    name = f"golden-{uuid.uuid4().hex[:8]}"
    made = mlflow.genai.datasets.create_dataset(name=name, experiment_id=story.experiment)
    made.merge_records(
        [{"inputs": {"question": f"{number}?"}, "expectations": {"answer": number}} for number in range(3)]
    )
    records = len(mlflow.genai.datasets.get_dataset(dataset_id=made.dataset_id).to_df())
    mlflow.genai.datasets.delete_dataset(dataset_id=made.dataset_id)
    left = mlflow.genai.datasets.search_datasets(experiment_ids=[story.experiment])
    return {"records": records, "left": len(list(left))}


def deletion(story: Story) -> Seen:
    client = story.client
    run, experiment = story.new_run().info.run_id, client.create_experiment(f"deleted {uuid.uuid4().hex}")
    client.delete_run(run)
    deleted = client.get_run(run).info.lifecycle_stage
    client.restore_run(run)
    client.delete_experiment(experiment)
    stages = [deleted, client.get_run(run).info.lifecycle_stage, client.get_experiment(experiment).lifecycle_stage]
    return {"stages": stages}


CHAPTERS: tuple[Callable[[Story], Seen], ...] = (
    runs,
    search,
    artifacts,
    large_artifact,
    models,
    traces,
    prompts,
    datasets,
    deletion,
)


def main() -> None:
    story = Story(int(sys.argv[1]))
    told: dict[str, Seen] = {"experiment": {"id": story.experiment, "name": NAME}}
    for chapter in CHAPTERS:
        began = time.monotonic()
        try:
            seen = chapter(story)
        except Exception:  # noqa: BLE001 - a chapter that fails must not end the others
            seen = {"error": traceback.format_exc()}
        told[chapter.__name__] = seen
        print(f"{chapter.__name__}: {time.monotonic() - began:.1f} s")
    Path(sys.argv[2]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
