# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Register a model with the official MLflow client, load it back by alias, compare its prediction, remove it all.

Needs mlflow-skinny and pandas. The path is asked first, and the client's retries are limited, so that a broken path
fails within a minute and with a diagnosis instead of after the client's 247 seconds of back-off.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hop_probe
import requests
from hop_probe import KEY_HEADERS, CannotRunError, Check, Client, diagnose, expect, lists_experiments, scrub

SCRIPT = "test_model_registration_complete.py"
PACKAGES = "mlflow-skinny pandas"
PATIENCE = 5.0
"""Seconds for the look at the path after a step failed; with one retry of ten seconds the end comes in a minute."""

ALIAS = "verification"
PARAMETERS = {"slope": "3", "source": "hokusai verification"}
METRICS = {"rmse": 0.25, "r2": 0.75}
INPUTS = [1.0, 2.5, -4.0]
NOTE = "An artifact of the verification; it may be deleted.\n"
KEY_SETTING = "MLFLOW_TRACKING_TOKEN"
MODEL_CODE = '''from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Line(PythonModel):
    """y = 3 x + 1: simple enough that its prediction is known without it."""

    def predict(self, context, model_input, params=None):
        return [3.0 * x + 1.0 for x in model_input["x"]]


set_model(Line())
'''


class InterruptedRunError(BaseException):
    """SIGINT or SIGTERM: stop, and remove what was made. Not an Exception: the client catches those here and there."""


def settle(options: argparse.Namespace, key: str) -> None:
    """Give the client its settings, which it reads when it is imported, and the key to nothing that it starts.

    A user name in the environment would win over the key. What the client starts gets the environment of the process,
    which is not `os.environ`; but git gets a copy of that, only to tag the run with the repository it is started from.
    """
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_AUTH", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)
    os.environ.update(settings(options, key))
    os.unsetenv(KEY_SETTING)
    sys.modules["git"] = None  # type: ignore[assignment]  # so that importing it fails


def settings(options: argparse.Namespace, key: str) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": tracking_uri(options),
        KEY_SETTING: key,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(options.timeout))),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_DISABLE_ENV_CREATION": "true",
    }


def tracking_uri(options: argparse.Namespace) -> str:
    return str(options.tracking_uri or f"{options.registry_url}/api/mlflow")


def load(module: str) -> Any:
    """A package of the client, loaded only once its settings are in the environment."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CannotRunError(f"{error.name} is missing. Remedy: python -m pip install {PACKAGES}") from None


class Registration:
    """One model, from experiment to prediction. Every name is new, so that two runs cannot meet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pandas, self.mlflow = load("pandas"), load("mlflow")
        load("mlflow.pyfunc")
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        self.client = self.mlflow.MlflowClient()
        self.name = f"hokusai-verification-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
        self.version = ""
        self.run_id = ""
        self.model_uri = ""

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            ("create_experiment", self.create_experiment),
            ("log_run", self.log_run),
            ("read_run_back", self.read_run_back),
            ("log_model", self.log_model),
            ("register_version", self.register_version),
            ("set_alias", self.set_alias),
            ("load_by_alias_and_predict", self.load_and_predict),
        ]

    def create_experiment(self) -> str:
        self.mlflow.set_experiment(experiment_id=self.client.create_experiment(self.name))
        return self.name

    def log_run(self) -> str:
        with self.mlflow.start_run(run_name=self.name) as run:
            self.run_id = run.info.run_id
            self.mlflow.log_params(PARAMETERS)
            self.mlflow.log_metrics(METRICS)
            self.mlflow.log_text(NOTE, "notes/note.txt")
        return f"run {self.run_id}"

    def read_run_back(self) -> str:
        data = self.client.get_run(self.run_id).data
        same("parameters", dict(data.params), PARAMETERS)
        same("metrics", dict(data.metrics), METRICS)
        same("artifact", self.mlflow.artifacts.load_text(f"runs:/{self.run_id}/notes/note.txt"), NOTE)
        return f"{len(data.params)} parameters, {len(data.metrics)} metrics, 1 artifact"

    def log_model(self) -> str:
        code = self.directory / "line.py"
        code.write_text(MODEL_CODE, encoding="utf-8")
        with self.mlflow.start_run(run_id=self.run_id):
            model = self.mlflow.pyfunc.log_model(
                name="model", python_model=str(code), pip_requirements=["mlflow-skinny", "pandas"]
            )
        self.model_uri = model.model_uri
        return str(self.model_uri)

    def register_version(self) -> str:
        self.version = str(self.mlflow.register_model(self.model_uri, self.name).version)
        return f"{self.name} version {self.version}"

    def set_alias(self) -> str:
        self.client.set_registered_model_alias(self.name, ALIAS, self.version)
        same("aliased version", str(self.client.get_model_version_by_alias(self.name, ALIAS).version), self.version)
        return f"{ALIAS} is version {self.version}"

    def load_and_predict(self) -> str:
        model = self.mlflow.pyfunc.load_model(f"models:/{self.name}@{ALIAS}", dst_path=str(self.directory))
        predicted = [float(y) for y in model.predict(self.pandas.DataFrame({"x": INPUTS}))]
        same("prediction", predicted, [3.0 * x + 1.0 for x in INPUTS])
        return f"f({INPUTS}) = {predicted}"


def same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{what}: {found!r} came back, {expected!r} was sent")


class Cleanup:
    """Removes what a registration made, found by its names: a create whose answer was lost made something too."""

    def __init__(self, registration: Registration) -> None:
        self.client, self.name = registration.client, registration.name

    def run(self) -> str:
        """Raises the client's exception at the first thing that cannot be removed."""
        removed = [*self.registered_model(), *self.experiment()]
        left = [model.name for model in self.registered_models()]
        same("left behind", left, [])
        return f"{', '.join(removed) or 'nothing'} removed"

    def registered_models(self) -> Any:
        return self.client.search_registered_models(f"name = '{self.name}'")

    def registered_model(self) -> Iterator[str]:
        for model in self.registered_models():
            for version in self.client.search_model_versions(f"name = '{model.name}'"):
                self.client.delete_model_version(model.name, str(version.version))
                yield f"version {version.version}"
            self.client.delete_registered_model(model.name)
            yield "registered model"

    def experiment(self) -> Iterator[str]:
        experiment = self.client.get_experiment_by_name(self.name)
        if experiment is None or experiment.lifecycle_stage == "deleted":
            return
        for model in self.client.search_logged_models([experiment.experiment_id]):
            self.artifacts(model.artifact_location)
            self.client.delete_logged_model(model.model_id)
            yield "logged model"
        for run in self.client.search_runs([experiment.experiment_id]):
            self.artifacts(run.info.artifact_uri)
            self.client.delete_run(run.info.run_id)
            yield "run"
        self.client.delete_experiment(experiment.experiment_id)
        yield "experiment"

    def artifacts(self, uri: str) -> None:
        """Delete the files below a URI. A store may refuse that; without their metadata nobody finds them again."""
        stores = load("mlflow.store.artifact.artifact_repository_registry")
        with contextlib.suppress(requests.HTTPError, NotImplementedError):
            stores.get_artifact_repository(uri).delete_artifacts()


def checks(options: argparse.Namespace, key: str) -> list[Check]:
    """Ask the path, and go through the registration only if it answers."""
    reached = Client(options.timeout).search(tracking_uri(options), KEY_HEADERS["Bearer"](key))
    asked = expect("search", "mlflow", reached, lists_experiments(reached))
    if not asked.passed:
        return [asked]
    settle(options, key)
    with tempfile.TemporaryDirectory(prefix="hokusai-verification-") as directory:
        return [asked, *register(options, key, Registration(Path(directory)))]


def register(options: argparse.Namespace, key: str, registration: Registration) -> list[Check]:
    """Go through the steps until one fails or a signal comes, and remove everything whatever happened."""
    done: list[Check] = []
    interrupted = ""
    try:
        catch_signals()
        for name, step in registration.steps():
            done.append(attempt(options, key, name, step))
            if not done[-1].passed:
                break
    except InterruptedRunError as error:
        interrupted = str(error)
    ignore_signals()
    removal = attempt(options, key, "remove_everything", Cleanup(registration).run)
    if interrupted:
        raise CannotRunError(f"{interrupted}; {removal.detail}")
    made = f"{registration.name} version {registration.version or '(none)'}"
    return [*done, removal, Check("registered", bool(registration.version), "mlflow", made)]


def attempt(options: argparse.Namespace, key: str, name: str, step: Callable[[], str]) -> Check:
    """Make one step. What it raises becomes the check's detail, with the state of the path at that moment.

    What the client prints meanwhile is dropped: it repeats the exception, or says what the report says.
    """
    try:
        noise = io.StringIO()
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            return Check(name, True, "mlflow", step())
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what the user has to read
        told = scrub(f"{type(error).__name__}: {error}", key)[:400]
        answer = Client(min(PATIENCE, options.timeout)).search(tracking_uri(options), KEY_HEADERS["Bearer"](key))
        if lists_experiments(answer):
            return Check(name, False, "mlflow", told)
        hop, text = diagnose(answer)
        return Check(name, False, hop, f"{text} ({told})")


def catch_signals() -> None:
    def interrupt(number: int, _frame: object) -> None:
        raise InterruptedRunError(f"interrupted by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def parse() -> argparse.Namespace:
    parser = hop_probe.parser(SCRIPT, __doc__ or "")
    parser.add_argument(
        "--tracking-uri",
        type=hop_probe.url,
        help="MLflow's tracking URI; default: /api/mlflow at the registry's URL",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(hop_probe.main(parse(), SCRIPT, checks, needs_key=True))
