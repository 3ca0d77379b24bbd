"""
The Helm chart's schema of values, as far as it is made from the settings.

`python -m tests.unit.test_docs` renews it, too.
"""

import json
from dataclasses import fields

from migrator.config.settings import Settings
from tests.k8s.manifests import CHART, Object


SCHEMA = CHART / "values.schema.json"
ELSEWHERE = frozenset({"command", "database_url", "linger", "password"})
"""What has a place of its own, as `args`, `database` and Secrets, or none in a Job."""


def schema() -> Object:
    """Return the schema of the chart's values."""
    found: Object = json.loads(SCHEMA.read_text())
    return found


def renewed(schema: Object) -> Object:
    """Return the schema with all settings under `settings`, and no other name."""
    names = sorted({each.name for each in fields(Settings)} - ELSEWHERE)
    scalar = {"type": ["string", "number", "boolean"]}
    own = schema["properties"]["settings"] | {
        "properties": {name.upper(): scalar for name in names}
    }
    return schema | {"properties": schema["properties"] | {"settings": own}}


def renew() -> None:
    """Write the schema from the settings."""
    SCHEMA.write_text(json.dumps(renewed(schema()), indent=2) + "\n")
