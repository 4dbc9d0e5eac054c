"""The model of `jobs.yaml`: what a user configures. Reading it checks all of it and names every fault with its line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from etl.errors import ConfigurationError
from etl.faults import Fault, line_and_column, nearest
from etl.yaml_words import yaml_fault

ENVIRONMENT = "PROFILEMILL_JOBS"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Whatever looks like a credential's key, also when it is misspelt.
_SECRET = re.compile(
    r"""(?i)([\w-]*(?:key|secret|passw|token|url|login)[\w-]*["']?\s*:\s*)((?!["']?\$\{)(?:"[^"]*"|'[^']*'|[^\s,}{\[]+))"""
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Authorization(_Strict):
    """One Amplitude project: its keys (or an Airflow connection that holds them) and its region."""

    label: str = ""
    description: str = ""
    region: Literal["us", "eu"] = "us"
    api_key: SecretStr | None = Field(None, description="The project's API key, best as ${AMPLITUDE_API_KEY}.")
    secret_key: SecretStr | None = Field(None, description="The project's secret key, best as ${AMPLITUDE_SECRET_KEY}.")
    connection: str | None = Field(None, description="An Airflow connection of type amplitude, instead of the keys.")
    base_url: str | None = Field(None, description="Another server than Amplitude's: a sandbox or a proxy.")

    @model_validator(mode="after")
    def _keys_or_connection(self) -> Authorization:
        keys = self.api_key is not None and self.secret_key is not None
        if self.connection is None and not keys:
            raise ValueError("give api_key and secret_key, or connection")
        if self.connection is not None and (self.api_key is not None or self.secret_key is not None):
            raise ValueError("give either the keys or a connection, not both")
        return self


class ParquetDestination(_Strict):
    """A folder of Parquet files, replaced as a whole by one rename."""

    type: Literal["parquet"]
    path: Path
    events: bool = Field(False, description="Mapped events too, a folder for each stream beside that of the profiles.")


class SqlDestination(_Strict):
    """Tables of a database, named by an SQLAlchemy URL."""

    type: Literal["sql"]
    url: SecretStr
    table: str = Field("profiles", min_length=1)
    mode: Literal["changes", "full"] = Field("changes", description="Load what changed since the last load, or everything each time.")
    events: bool = Field(False, description="Mapped events too, a table for each stream.")


Destination = Annotated[ParquetDestination | SqlDestination, Field(discriminator="type")]


class _Job(_Strict):
    label: str = ""
    description: str = ""
    authorization: str
    destinations: list[str] = Field(default_factory=list, description="Which destinations are refreshed after this job.")
    keep_updated: bool = Field(True, description="Run by schedule; false: by hand only.")
    mapping: str | None = Field(None, description="Another mapping than the stream's own.")

    @property
    def stream(self) -> str:
        return str(getattr(self, "type"))  # noqa: B009 (the subclasses declare it)


class EventsJob(_Job):
    """Imports events hourly."""

    type: Literal["amplitude_events"]
    backfill_days: int = Field(90, ge=0, le=3650, description="How far the first run reaches back; 0: from now on.")
    additional_fields: bool = Field(False, description="Take the fields of amplitude_events_additional too.")
    hours_per_request: int = Field(24, ge=1, le=24 * 31, description="The most hours in one export request.")

    @property
    def mapping_name(self) -> str:
        return self.mapping or ("amplitude_events_additional" if self.additional_fields else "amplitude_events")


class CohortsJob(_Job):
    """Imports cohorts daily."""

    type: Literal["amplitude_cohorts"]
    cohorts: list[str] = Field(default_factory=list, description="Ids or names; empty: all.")
    amplitude_id_field: str | None = Field("amplitude_id", description="Blank: cohorts are only added to profiles.")
    cohort_names_field: str | None = Field("amplitude_cohort_names", description="Blank: cohorts are only added.")
    time_of_day: str = "00:00"
    timezone: str = "UTC"
    props: bool | list[str] = Field(True, description="Download user properties: all, none, or the named ones.")
    max_exit_share: float = Field(0.5, gt=0, le=1, description="More exits than this fail the cohort (from 20 members).")

    @property
    def mapping_name(self) -> str:
        return self.mapping or "amplitude_cohorts"

    @property
    def exits(self) -> bool:
        """Whether leavers are written; both options have to name a field."""
        return bool(self.amplitude_id_field and self.cohort_names_field)

    @field_validator("time_of_day", mode="before")
    @classmethod
    def _minutes(cls, value: Any) -> Any:
        # YAML 1.1 reads an unquoted 16:45 as the number 1005.
        return f"{value // 60:02d}:{value % 60:02d}" if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("time_of_day")
    @classmethod
    def _time(cls, value: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError("write the time of day as HH:MM, for example 06:45")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("this is not an IANA time zone, such as America/Los_Angeles") from error
        return value


Job = Annotated[EventsJob | CohortsJob, Field(discriminator="type")]


class Jobs(_Strict):
    """The whole of `jobs.yaml`."""

    lake: Path
    authorizations: dict[str, Authorization] = Field(default_factory=dict)
    destinations: dict[str, Destination] = Field(default_factory=dict)
    jobs: dict[str, Job] = Field(default_factory=dict)
    max_identifiers: int = Field(50, ge=2, description="A profile with more identifiers goes into quarantine.")
    dedupe_days: int | None = Field(
        None, ge=1, le=3650, description="Records of loads so near that share a key count once; blank: reported only."
    )
    pii_key: SecretStr | None = Field(None, description="Hashes the fields marked pii, best as ${PROFILEMILL_PII_KEY}.")


def _without_secrets(line: str) -> str:
    """The line with the values of keys, secrets and URLs starred out, unless they are variables; its length stays."""
    return _SECRET.sub(lambda found: found.group(1) + "*" * len(found.group(2)), line)


class _Faulty(Exception):
    def __init__(self, path: tuple[Any, ...], message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.path, self.hint = path, hint


def find_jobs_file(given: str | Path | None) -> Path:
    """The file by the option, else PROFILEMILL_JOBS, else `./jobs.yaml`. Raises ConfigurationError when it is not there."""
    path = Path(given or os.environ.get(ENVIRONMENT) or "jobs.yaml").absolute()
    if not path.is_file():
        raise ConfigurationError(
            "there is no jobs file",
            value=str(path),
            next_step=f"name it with --jobs FILE or {ENVIRONMENT}, or create jobs.yaml here",
        )
    return path


def load_jobs(path: Path) -> Jobs:
    """The checked jobs file; relative paths in it are relative to its folder. Raises ConfigurationError with all faults."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        found = yaml_fault(error, text)
        line, column = line_and_column(text, found.start or 0)
        source = _without_secrets(text.split("\n")[line - 1])
        # Without the example behind the colon: it repeats the value.
        hint = found.hint and found.hint.split(": ")[0]
        raise _refused(path, [Fault("J001", found.message, path.name, line, column, source, hint=hint)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the jobs file: {error}", where={"file": path}) from error
    marks = _Marks(path, text, root)
    if not isinstance(content, dict):
        raise _refused(path, [marks.fault("J002", (), "the file must hold lake, authorizations, destinations and jobs")])
    try:
        jobs = Jobs.model_validate(_paths(content, path.parent))
    except ValidationError as error:
        raise _refused(path, [marks.of(one) for one in error.errors(include_url=False, include_input=False)]) from None
    faults = [marks.fault("J004", one.path, str(one), one.hint) for one in _contradictions(jobs)]
    if faults:
        raise _refused(path, faults)
    return jobs


def resolve_variables(text: str, where: str) -> str:
    """`text` with every `${NAME}` taken from the environment. Raises ConfigurationError naming what is not set."""
    missing = [name for name in _VARIABLE.findall(text) if name not in os.environ]
    if missing:
        raise ConfigurationError(
            f"the environment variable {missing[0]} is not set",
            where={"used in": where},
            next_step=f"export {missing[0]}=... and run again",
        )
    return _VARIABLE.sub(lambda found: os.environ[found.group(1)], text)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `jobs.yaml`, for editors."""
    return Jobs.model_json_schema()


def _paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content with variables in paths resolved and relative paths made absolute."""

    def absolute(text: Any, where: str) -> Any:
        if not isinstance(text, str):
            return text
        resolved = resolve_variables(text, where)
        if "://" in resolved:
            raise ConfigurationError(
                "lakes and Parquet folders on object stores are not supported yet",
                where={"at": where},
                value=resolved,
                next_step="name a local folder",
            )
        path = folder / Path(resolved).expanduser()
        if where == "lake" and (unfit := [part for part in path.parts if "=" in part or "%" in part]):
            raise ConfigurationError(
                "the lake's path may hold neither '=' nor '%': Delta tables give both a meaning",
                where={"at": where, "folder": unfit[0]},
                value=str(path),
                next_step="name another folder",
            )
        return str(path)

    made = dict(content)
    if "lake" in made:
        made["lake"] = absolute(made["lake"], "lake")
    destinations = made.get("destinations")
    if isinstance(destinations, dict):
        made["destinations"] = {
            name: {**one, "path": absolute(one["path"], f"destinations.{name}.path")}
            if isinstance(one, dict) and "path" in one
            else _sql(one, folder)
            for name, one in destinations.items()
        }
    return made


def _sql(one: Any, folder: Path) -> Any:
    """A SQLite URL with a relative file, made absolute: `sqlite:///out/profiles.db` is relative to the jobs file."""
    if not isinstance(one, dict) or not isinstance(one.get("url"), str):
        return one
    prefix = "sqlite:///"
    if one["url"].startswith(prefix) and not one["url"].startswith(prefix + "/") and one["url"] != prefix + ":memory:":
        return one | {"url": f"{prefix}{(folder / one['url'][len(prefix) :]).absolute()}"}
    return one


def _contradictions(jobs: Jobs) -> list[_Faulty]:
    found: list[_Faulty] = []
    importing: dict[str, str] = {}
    for name, job in jobs.jobs.items():
        if not _NAME.fullmatch(name):
            found.append(
                _Faulty(
                    ("jobs", name),
                    f"{name!r} cannot be a job's name",
                    "use letters, digits, dots, dashes and underscores",
                )
            )
        if job.authorization not in jobs.authorizations:
            hint = nearest(job.authorization, jobs.authorizations) or f"known: {', '.join(jobs.authorizations) or 'none'}"
            found.append(_Faulty(("jobs", name, "authorization"), f"there is no authorization {job.authorization!r}", hint))
        for place, destination in enumerate(job.destinations):
            if destination not in jobs.destinations:
                hint = nearest(destination, jobs.destinations) or f"known: {', '.join(jobs.destinations) or 'none'}"
                found.append(_Faulty(("jobs", name, "destinations", place), f"there is no destination {destination!r}", hint))
        if isinstance(job, EventsJob):
            other = importing.setdefault(job.authorization, name)
            if other != name:
                found.append(
                    _Faulty(
                        ("jobs", name, "authorization"),
                        f"the job {other!r} imports the events of {job.authorization!r} already",
                        "one event job per project",
                    )
                )
    return found


def _refused(path: Path, faults: list[Fault]) -> ConfigurationError:
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    text = "\n".join(fault.render() for fault in sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return ConfigurationError(f"{path.name} has {count}\n{text}", next_step=f"correct {path} and run `profilemill check`")


class _Marks:
    """Finds the place in the file of a path of keys."""

    def __init__(self, path: Path, text: str, root: yaml.Node | None) -> None:
        self._path, self._lines, self._root = path, text.split("\n"), root

    def of(self, error: Any) -> Fault:
        location = tuple(
            part
            for part in error["loc"]
            if not (isinstance(part, str) and part in ("amplitude_events", "amplitude_cohorts", "parquet", "sql"))
        )
        message = str(error["msg"]).removeprefix("Value error, ")
        hint = None
        if error["type"] == "extra_forbidden":
            message, hint = f"unknown key {location[-1]!r}", self._known(error["loc"])
        elif error["type"] == "missing":
            message, location = f"{location[-1]!r} is missing", location[:-1]
        elif error["type"] == "union_tag_not_found":
            message = "'type' is missing"
        elif error["type"] == "union_tag_invalid":
            types = [name.strip("' ") for name in error["ctx"]["expected_tags"].split(",")]
            message, location = f"there is no type {error['ctx']['tag']!r}", (*location, "type")
            hint = nearest(error["ctx"]["tag"], types) or f"known types: {', '.join(types)}"
        return self.fault("J003", location, message, hint, last_is_key=error["type"] == "extra_forbidden")

    def fault(self, code: str, path: tuple[Any, ...], message: str, hint: str | None = None, *, last_is_key: bool = False) -> Fault:
        mark, width = self._find(path, last_is_key)
        source = _without_secrets(self._lines[mark[0]]) if mark[0] < len(self._lines) else ""
        named = ".".join(str(part) for part in path)
        text = f"{named}: {message}" if named else message
        return Fault(code, text, self._path.name, mark[0] + 1, mark[1] + 1, source, width, hint)

    def _find(self, path: tuple[Any, ...], last_is_key: bool) -> tuple[tuple[int, int], int]:
        node, place, width = self._root, (0, 0), 1
        for depth, part in enumerate(path):
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if str(key.value) == str(part)), None)
                if pair is None:
                    break
                shown = pair[0] if (last_is_key and depth == len(path) - 1) or not isinstance(pair[1], yaml.ScalarNode) else pair[1]
                node = pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = shown = node.value[part]
            else:
                break
            place = (shown.start_mark.line, shown.start_mark.column)
            width = max(1, shown.end_mark.column - shown.start_mark.column) if shown.end_mark.line == shown.start_mark.line else 1
        return place, width

    def _known(self, location: tuple[Any, ...]) -> str | None:
        models: dict[str, type[BaseModel]] = {
            "authorizations": Authorization,
            "amplitude_events": EventsJob,
            "amplitude_cohorts": CohortsJob,
            "parquet": ParquetDestination,
            "sql": SqlDestination,
        }
        model = next((models[str(part)] for part in reversed(location[:-1]) if str(part) in models), Jobs)
        return nearest(str(location[-1]), model.model_fields) or f"known keys: {', '.join(model.model_fields)}"
