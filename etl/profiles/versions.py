"""One version of the published profiles, and what changed between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from etl.lake.layout import Lake
from etl.lake.tables import DataFile, files_of, relation
from etl.profiles.fields import ProfileField
from etl.profiles.published import published_fields, published_query
from etl.profiles.stored import current_profiles, identifiers_of_profiles


@dataclass(frozen=True)
class Version:
    """The profiles as one build left them: the queries read that version, whatever is built meanwhile.

    `source` names the table `profiles` (a rebuild from landing makes another one), `build` counts its builds from 1.
    `profiles` is SQL for the rows of `published_query`, `identifiers` SQL for `namespace`, `value`, `profile_id`,
    `first_seen` of the same profiles. `files` are those of the table.
    """

    source: str
    build: int
    fields: tuple[ProfileField, ...]
    profiles: str
    identifiers: str
    files: tuple[DataFile, ...]


def current_version(lake: Lake) -> Version:
    """The newest version; build 0 and no profiles before the first build."""
    opened = lake.profiles.open()
    files = [] if opened is None else files_of(lake.profiles, opened)
    source = "" if opened is None else str(opened.metadata().id)
    build = 0 if opened is None else int(opened.transaction_version("build") or 0)
    return _version(lake, source, build, files)


def written_since(lake: Lake, version: Version, build: int) -> Version:
    """The same version, but of its profiles only those that a build after `build` wrote. Files of builds before are not read."""
    return _version(lake, version.source, version.build, version.files, f"_build > {build}")


def _version(lake: Lake, source: str, build: int, files: Sequence[DataFile], where: str = "TRUE") -> Version:
    profiles = current_profiles(lake, files, where)
    none = "SELECT '' AS namespace, '' AS value, '' AS profile_id, CAST(NULL AS TIMESTAMPTZ) AS first_seen WHERE FALSE"
    return Version(
        source,
        build,
        tuple(published_fields(lake)),
        published_query(lake, files, where),
        none if profiles is None else identifiers_of_profiles(profiles, published=True),
        tuple(files),
    )


def changed_since(lake: Lake, version: Version, build: int) -> str | None:
    """SQL for the ids of the profiles that changed after an earlier build of the same table, people who are gone
    included; None where that is not known any more."""
    files = [file for file in files_of(lake.changes) if build < int(file.partition["build"]) <= version.build]
    if build > version.build or {int(file.partition["build"]) for file in files} != set(range(build + 1, version.build + 1)):
        return None
    source = relation(lake.changes, (file.path for file in files))
    return f"SELECT DISTINCT profile_id FROM {source}" if source else "SELECT '' AS profile_id WHERE FALSE"
