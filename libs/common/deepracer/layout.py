"""
Keys of a run in the store, in DeepRacer's layout (reference 1.6) below `runs/<run id>`.

Public tools find a run by these names: metrics, traces, checkpoints and the car's archive. They
know an evaluation by the 14 digits of its time: `evaluation_stamp`.
"""

from datetime import UTC, datetime


def evaluation_stamp(at_s: float) -> str:
    """The name of an evaluation of then (epoch seconds), as `20220709200242` (UTC)."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%d%H%M%S")


def run_prefix(run_id: str) -> str:
    """The folder of a run, without a slash at its end."""
    return f"runs/{run_id}"


def model_folder(run_id: str) -> str:
    """The folder of checkpoints and frozen policies."""
    return f"{run_prefix(run_id)}/model"


def model_file(run_id: str, filename: str) -> str:
    """A file of the model folder, as `13_Step-8044.ckpt.index` or `model_13.pb`."""
    return f"{model_folder(run_id)}/{filename}"


def deepracer_checkpoints(run_id: str) -> str:
    """The document that names the best and the last checkpoint."""
    return model_file(run_id, "deepracer_checkpoints.json")


def coach_checkpoint(run_id: str) -> str:
    """The file that names the checkpoint to go on from."""
    return model_file(run_id, ".coach_checkpoint")


def model_metadata(run_id: str) -> str:
    """The action space beside the checkpoints, where simulators look for it."""
    return model_file(run_id, "model_metadata.json")


def run_model_metadata(run_id: str) -> str:
    """The action space as the run folder had it."""
    return f"{run_prefix(run_id)}/model_metadata.json"


def reward_function(run_id: str) -> str:
    """The reward function as the run folder had it."""
    return f"{run_prefix(run_id)}/reward_function.py"


def hyperparameters(run_id: str) -> str:
    """The hyperparameters as the run folder had them."""
    return f"{run_prefix(run_id)}/hyperparameters.json"


def ip_hyperparameters(run_id: str) -> str:
    """The hyperparameters with every default filled in, as the learner uses them."""
    return f"{run_prefix(run_id)}/ip/hyperparameters.json"


def training_params(run_id: str) -> str:
    """World, direction and race type, for the import into DeepRacer on AWS."""
    return f"{run_prefix(run_id)}/training_params.yaml"


def training_metrics(run_id: str, worker: int = 0) -> str:
    """The metrics of all episodes of the training that a worker drove."""
    suffix = f"_{worker}" if worker else ""
    return f"{run_prefix(run_id)}/metrics/TrainingMetrics{suffix}.json"


def evaluation_metrics(run_id: str, evaluation: str) -> str:
    """The metrics of one evaluation; `evaluation` is its `evaluation_stamp`."""
    return f"{run_prefix(run_id)}/metrics/evaluation/evaluation-{evaluation}.json"


def training_simtrace(run_id: str, iteration: int, worker: int | None = None) -> str:
    """The steps of one iteration's episodes, from 0; `worker` where there are several."""
    folder = run_prefix(run_id) if worker is None else f"{run_prefix(run_id)}/{worker}"
    return f"{folder}/training-simtrace/{iteration}-iteration.csv"


def evaluation_simtrace(run_id: str, evaluation: str, part: int = 0) -> str:
    """The steps of one evaluation's trials; `evaluation` is its `evaluation_stamp`."""
    folder = f"{run_prefix(run_id)}/evaluation-{evaluation}"
    return f"{folder}/evaluation-simtrace/{part}-iteration.csv"


def export_file(run_id: str, number: int, kind: str, filename: str) -> str:
    """A file of a checkpoint in a format that others run, as `onnx`."""
    return f"{run_prefix(run_id)}/exports/{number}/{kind}/{filename}"


def imported_track(name: str) -> str:
    """A track that was imported, for all runs."""
    return f"tracks/{name}.npy"


def film(run_id: str, view: str, number: int, evaluation: str | None = None) -> str:
    """The video of an episode, or of a trial of an evaluation; `view` as `camera-pip`."""
    folder = run_prefix(run_id)
    if evaluation is not None:
        folder = f"{folder}/evaluation-{evaluation}"
    return f"{folder}/mp4/{view}/{number}-video.mp4"


def board_file(run_id: str, filename: str) -> str:
    """An event file for TensorBoard."""
    return f"{run_prefix(run_id)}/tensorboard/{filename}"


def car_archive(run_id: str) -> str:
    """What the car takes: the frozen policy with its action space."""
    return f"{run_prefix(run_id)}/output/model.tar.gz"


def journal_folder(run_id: str) -> str:
    """The folder of the journal's segments."""
    return f"{run_prefix(run_id)}/journal"


def journal_file(run_id: str, filename: str) -> str:
    """One segment of the journal."""
    return f"{journal_folder(run_id)}/{filename}"
