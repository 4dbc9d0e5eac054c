"""The model of `jobs.yaml`: what a user configures. Reading it checks all of it and names every fault with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator

from etl.errors import ConfigurationError
from etl.faults import Fault, line_and_column, nearest
from etl.jobs_forwarding import AmplitudeDestination, CustomerioJob, ForwardingJob, MparticleDestination, MparticleFeed, NamiJob
from etl.jobs_marks import Marks, without_secrets
from etl.jobs_strict import Strict as _Strict
from etl.yaml_words import yaml_fault

ENVIRONMENT = "PROFILEMILL_JOBS"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Authorization(_Strict):
    """One Amplitude project: its keys (or an Airflow connection that holds them) and its region."""

    label: str = ""
    description: str = ""
    region: Literal["us", "eu"] = "us"
    api_key: SecretStr | None = Field(None, description="The project's API key, best as ${AMPLITUDE_API_KEY}.")
    secret_key: SecretStr | None = Field(
        None, description="The project's secret key, best as ${AMPLITUDE_SECRET_KEY}; events can be sent without it."
    )
    connection: str | None = Field(None, description="An Airflow connection of type amplitude, instead of the keys.")
    base_url: str | None = Field(None, description="Another server than Amplitude's: a sandbox or a proxy.")

    @model_validator(mode="after")
    def _keys_or_connection(self) -> Authorization:
        if self.connection is None and self.api_key is None:
            raise ValueError("give api_key and secret_key, or connection")
        if self.connection is not None and (self.api_key is not None or self.secret_key is not None):
            raise ValueError("give either the keys or a connection, not both")
        return self


class ParquetDestination(_Strict):
    """A folder of Parquet files, replaced as a whole by one rename."""

    type: Literal["parquet"]
    path: Path
    events: bool = Field(False, description="Mapped events too, a folder for each stream beside that of the profiles.")
    memberships: bool = Field(False, description="Cohort memberships too, a folder beside that of the profiles.")


class SqlDestination(_Strict):
    """Tables of a database, named by an SQLAlchemy URL."""

    type: Literal["sql"]
    url: SecretStr
    table: str = Field("profiles", min_length=1)
    mode: Literal["changes", "full"] = Field("changes", description="Load what changed since the last load, or everything each time.")
    events: bool = Field(False, description="Mapped events too, a table for each stream.")
    memberships: bool = Field(False, description="Cohort memberships too, in a table beside that of the profiles.")


ProfilesDestination = ParquetDestination | SqlDestination
EventsDestination = AmplitudeDestination | MparticleDestination
Destination = Annotated[ProfilesDestination | EventsDestination, Field(discriminator="type")]


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


ImportJob = EventsJob | CohortsJob
Job = Annotated[ImportJob | NamiJob | CustomerioJob, Field(discriminator="type")]


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

    @property
    def imports(self) -> dict[str, ImportJob]:
        """The jobs that import from Amplitude, by name."""
        return {name: job for name, job in self.jobs.items() if isinstance(job, ImportJob)}

    @property
    def forwardings(self) -> dict[str, ForwardingJob]:
        """The jobs that send events on, by name."""
        return {name: job for name, job in self.jobs.items() if isinstance(job, ForwardingJob)}

    @property
    def profile_destinations(self) -> dict[str, ProfilesDestination]:
        """The destinations that hold profiles, by name."""
        return {name: one for name, one in self.destinations.items() if isinstance(one, ProfilesDestination)}


_MODELS: dict[str, type[BaseModel]] = {
    "": Jobs,
    "authorizations": Authorization,
    "amplitude_events": EventsJob,
    "amplitude_cohorts": CohortsJob,
    "nami": NamiJob,
    "customerio": CustomerioJob,
    "parquet": ParquetDestination,
    "sql": SqlDestination,
    "amplitude": AmplitudeDestination,
    "mparticle": MparticleDestination,
    "feeds": MparticleFeed,
}


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
        source = without_secrets(text.split("\n")[line - 1])
        # Without the example behind the colon: it repeats the value.
        hint = found.hint and found.hint.split(": ")[0]
        raise _refused(path, [Fault("J001", found.message, path.name, line, column, source, hint=hint)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the jobs file: {error}", where={"file": path}) from error
    marks = Marks(path, text, root, _MODELS)
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

    def inbox(text: Any, where: str) -> Any:
        resolved = resolve_variables(text, where) if isinstance(text, str) else text
        return _bucket(resolved, where) if isinstance(resolved, str) and "://" in resolved else absolute(text, where)

    made = dict(content)
    if "lake" in made:
        made["lake"] = absolute(made["lake"], "lake")
    if isinstance(jobs := made.get("jobs"), dict):
        made["jobs"] = {
            name: {**one, "inbox": inbox(one["inbox"], f"jobs.{name}.inbox")} if isinstance(one, dict) and "inbox" in one else one
            for name, one in jobs.items()
        }
    destinations = made.get("destinations")
    if isinstance(destinations, dict):
        made["destinations"] = {
            name: {**one, "path": absolute(one["path"], f"destinations.{name}.path")}
            if isinstance(one, dict) and "path" in one
            else _sql(one, folder)
            for name, one in destinations.items()
        }
    return made


def _bucket(url: str, where: str) -> str:
    """The URL of an inbox in an object store. It is not quoted where it may hold keys."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("s3", "gs"):
        raise ConfigurationError(f"an inbox cannot be at {scheme}://", where={"at": where}, next_step="name a folder, s3://.. or gs://..")
    if "@" in rest.partition("/")[0] or "?" in rest:
        raise ConfigurationError(
            "the URL of an inbox holds no keys and no options",
            where={"at": where},
            next_step="write s3://bucket/folder; keys come from the environment",
        )
    if not rest.strip("/"):
        raise ConfigurationError(
            "the URL of an inbox names no bucket", where={"at": where}, value=url, next_step="write s3://bucket/folder"
        )
    return url.rstrip("/")


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
    for name, destination in jobs.destinations.items():
        if isinstance(destination, AmplitudeDestination):
            found += _unknown(("destinations", name, "authorization"), "authorization", destination.authorization, jobs.authorizations)
    for name, job in jobs.jobs.items():
        if not _NAME.fullmatch(name):
            found.append(
                _Faulty(
                    ("jobs", name),
                    f"{name!r} cannot be a job's name",
                    "use letters, digits, dots, dashes and underscores",
                )
            )
        if isinstance(job, ForwardingJob):
            events = [known for known, one in jobs.destinations.items() if isinstance(one, EventsDestination)]
            found += _unknown(("jobs", name, "destination"), "destination for events", job.destination, events)
            continue
        found += _unknown(("jobs", name, "authorization"), "authorization", job.authorization, jobs.authorizations)
        authorization = jobs.authorizations.get(job.authorization)
        if authorization is not None and authorization.connection is None and authorization.secret_key is None:
            found.append(_Faulty(("authorizations", job.authorization), f"without secret_key the job {name!r} cannot import"))
        for place, profiles in enumerate(job.destinations):
            found += _unknown(("jobs", name, "destinations", place), "destination", profiles, jobs.profile_destinations)
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


def _unknown(path: tuple[Any, ...], what: str, name: str, known: Iterable[str]) -> list[_Faulty]:
    """A fault where `name` is not among the known ones."""
    names = list(known)
    hint = nearest(name, names) or f"known: {', '.join(names) or 'none'}"
    return [] if name in names else [_Faulty(path, f"there is no {what} {name!r}", hint)]


def _refused(path: Path, faults: list[Fault]) -> ConfigurationError:
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    text = "\n".join(fault.render() for fault in sorted(faults, key=lambda fault: (fault.line, fault.column)))
    return ConfigurationError(f"{path.name} has {count}\n{text}", next_step=f"correct {path} and run `profilemill check`")
