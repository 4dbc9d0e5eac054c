"""What Airflow learns about this package without importing it: the connection type and the assets' URI scheme."""

from __future__ import annotations

from typing import Any

CONNECTION_TYPE = "amplitude"
HOOK = "amplitude_airflow.hooks.AmplitudeHook"


def get_provider_info() -> dict[str, Any]:
    """Airflow's provider metadata; the key is the connection's login, the secret its password."""
    return {
        "package-name": "profilemill",
        "name": "Amplitude (Profilemill)",
        "description": "Imports Amplitude cohorts and events and makes user profiles of them.",
        "integrations": [
            {
                "integration-name": "Amplitude",
                "external-doc-url": "https://amplitude.com/docs/apis",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Amplitude", "python-modules": ["amplitude_airflow.hooks"]}],
        "operators": [{"integration-name": "Amplitude", "python-modules": ["amplitude_airflow.operators"]}],
        "triggers": [{"integration-name": "Amplitude", "python-modules": ["amplitude_airflow.triggers"]}],
        "asset-uris": [{"schemes": ["profilemill"], "handler": None}],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": HOOK,
                "hook-name": "Amplitude",
                "conn-fields": {
                    "region": {
                        "label": "Region",
                        "description": "Where the Amplitude project lives.",
                        "schema": {"type": "string", "enum": ["us", "eu"], "default": "us"},
                    },
                    "base_url": {
                        "label": "Base URL",
                        "description": "Another server than Amplitude's: a sandbox or a proxy. Usually empty.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "extra"],
                    "relabeling": {"login": "API key", "password": "Secret key"},
                    "placeholders": {"login": "the project's API key"},
                },
            }
        ],
    }
