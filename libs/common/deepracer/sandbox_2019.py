"""
`training-parameters.env` of 2019 run folders: shell assignments, parsed and never executed.

Keys and values: reference sandbox-2019, section 2.
"""

import re
import shlex

from pydantic import Field, ValidationError

from libs.common.deepracer.checked import Checked, Findings, quote, unknown_key
from libs.common.deepracer.hyperparameters import Hyperparameters, check_hyperparameters
from libs.common.deepracer.problems import note_errors
from libs.common.deepracer.run_file import RunFile
from libs.common.deepracer.run_spec import TRACK_PATTERN, LimitsSpec, RaceSpec, StartSpec
from libs.common.deepracer.strict import Strict
from libs.common.deepracer.syntax import decode_text
from libs.common.deepracer.world_spec import WorldSpec
from libs.common.deepracer.worlds import look_of_world, track_of_world
from libs.common.errors import InvalidInput

HYPERPARAMETER_KEYS = (
    "batch_size",
    "beta_entropy",
    "discount_factor",
    "e_greedy_value",
    "epsilon_steps",
    "exploration_type",
    "loss_type",
    "lr",
    "num_episodes_between_training",
    "num_epochs",
    "stack_size",
    "term_cond_avg_score",
    "term_cond_max_episodes",
    "lr_decay_rate",
    "lr_decay_steps",
    "tensorboard",
    "dump_gifs",
    "dump_mp4",
)
IDLE_KEYS = ("aws_region", "sim_update_rate")
"""Taken and without effect: there is no cloud region, and no simulator clock to slow down."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPANSION = re.compile(r"[$`]")


class RunParameters(Strict):
    """The keys that say where and how to drive, by their names of 2019."""

    world_name: str | None = Field(default=None, pattern=TRACK_PATTERN)
    job_duration: float | None = Field(default=None, gt=0)  # seconds
    pretrained_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")
    start_position: float = Field(default=0.0, ge=0, le=1)  # fraction of a lap
    change_start_position: bool = True
    alternate_driving_direction: bool = False

    @property
    def track(self) -> str | None:
        """The track of the world."""
        return track_of_world(self.world_name) if self.world_name else None

    def to_run_file(self) -> RunFile:
        """What `run.yaml` would say."""
        race = RaceSpec(
            start_position=self.start_position % 1,  # a whole lap is the start line again
            change_start_position=self.change_start_position,
            alternate_direction=self.alternate_driving_direction,
        )
        limits = LimitsSpec(max_seconds=self.job_duration) if self.job_duration else LimitsSpec()
        world = look_of_world(self.world_name) if self.world_name else WorldSpec()
        start = self._start()
        return RunFile(track=self.track, race=race, limits=limits, start=start, world=world)

    def _start(self) -> StartSpec | None:
        """2019 went on from the newest checkpoint; job ids had capitals where macOS made them."""
        if not self.pretrained_id:
            return None
        return StartSpec(run=self.pretrained_id.lower(), checkpoint="last")


RUN_KEYS = tuple(RunParameters.model_fields)
KEYS = HYPERPARAMETER_KEYS + RUN_KEYS + IDLE_KEYS


def parse_training_parameters(
    data: bytes, filename: str = "training-parameters.env"
) -> Checked[tuple[Hyperparameters, RunFile]]:
    """
    Read the file into what our `hyperparameters.json` and `run.yaml` would say.

    Raises:
        InvalidInput: every problem, each with its line or value and what is accepted.
    """
    findings = Findings(filename)
    values = parse_assignments(decode_text(data, filename), findings)
    for key in values:
        if key not in KEYS:
            findings.problem(unknown_key(key, KEYS))
        elif key in IDLE_KEYS:
            findings.warn(f"{key} is accepted and has no effect")
    hyperparameters = _read_hyperparameters(values, findings)
    run_file = _read_run(values, findings)
    return findings.checked((hyperparameters, run_file))


def parse_assignments(text: str, findings: Findings) -> dict[str, str]:
    """
    `key="value"` lines by key; the last of a key counts, as in a shell.

    Values that a shell would expand (`$`, backticks) are refused: nothing here is executed.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        pair = _parse_line(line, number, findings)
        if pair is None:
            continue
        key, value = pair
        if values.get(key, value) != value:
            findings.warn(f"{key} is there twice: {quote(value)} of line {number} counts")
        values[key] = value
    return values


def _parse_line(line: str, number: int, findings: Findings) -> tuple[str, str] | None:
    accepted = 'key="value", a comment after #, or an empty line'
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        findings.refuse(f"line {number}", line, accepted)
        return None
    words = words[1:] if words[:1] == ["export"] else words
    if not words:
        return None
    key, equals, value = words[0].partition("=")
    if len(words) > 1 or not equals or not _NAME.fullmatch(key):
        findings.refuse(f"line {number}", line, accepted)
        return None
    if _EXPANSION.search(value):
        findings.refuse(f"line {number}: {key}", value, "a plain value, nothing is expanded")
        return None
    return key, value


def _read_hyperparameters(values: dict[str, str], findings: Findings) -> Hyperparameters:
    given = {key: value for key, value in values.items() if key in HYPERPARAMETER_KEYS}
    try:
        checked = check_hyperparameters(given, findings.where)
    except InvalidInput as error:
        findings.include(error.problems)
        return Hyperparameters()
    findings.include(warnings=checked.warnings)
    return checked.value


def _read_run(values: dict[str, str], findings: Findings) -> RunFile:
    given = {key: value for key, value in values.items() if key in RUN_KEYS and value}
    try:
        parameters = RunParameters.model_validate(given)
    except ValidationError as error:
        note_errors(error, RunParameters, findings)
        return RunFile()
    if parameters.world_name and parameters.track != parameters.world_name:
        world = quote(parameters.world_name)
        findings.warn(f"world_name {world} is driven on the track {parameters.track!r}")
    return parameters.to_run_file()
