"""
Objects of operators, which Kubernetes' own schemas do not know: what we use of them.

Sources: github.com/fluxcd/kustomize-controller/api v1, helm-controller/api v2,
prometheus-operator's monitoring/v1.
"""

from typing import Any

from jsonschema import Draft202012Validator


Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
SPAN: Schema = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"}


def _object(needed: dict[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": needed | optional,
        "required": list(needed),
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


_REMEDIATION = _object({"remediation": _object({"retries": {"type": "integer"}})})
_SOURCE = _object({"kind": TEXT, "name": TEXT}, namespace=TEXT)

SPECS: dict[str, Schema] = {
    "kustomize.toolkit.fluxcd.io/v1": _object(
        {"interval": SPAN, "prune": FLAG, "sourceRef": _SOURCE},
        path=TEXT,
        timeout=SPAN,
        targetNamespace=TEXT,
        wait=FLAG,
        force=FLAG,
        dependsOn=_list(_object({"name": TEXT})),
        patches=_list(
            _object({"patch": TEXT, "target": _object({"kind": TEXT, "name": TEXT})})
        ),
    ),
    "helm.toolkit.fluxcd.io/v2": _object(
        {"interval": SPAN},
        timeout=SPAN,
        chart=_object({"spec": _object({"chart": TEXT, "sourceRef": _SOURCE})}),
        install=_REMEDIATION,
        upgrade=_REMEDIATION,
        values={"type": "object"},
    ),
    "monitoring.coreos.com/v1": _object(
        {
            "groups": _list(
                _object(
                    {
                        "name": TEXT,
                        "rules": _list(
                            _object(
                                {"alert": TEXT, "expr": TEXT},
                                labels=TEXTS,
                                annotations=TEXTS,
                            )
                        ),
                    }
                )
            )
        }
    ),
}
"""The spec of each kind that the manifests use, by its API version."""


def faults(one: dict[str, Any]) -> list[str]:
    """Return what is wrong with the spec of such an object."""
    validator = Draft202012Validator(SPECS[one["apiVersion"]])
    return [error.message for error in validator.iter_errors(one["spec"])]
