"""Reads custom resources with the models of their operators, and sees whether anything is lost or refused.

It runs in the environment of tools.lock: python models_round_trip.py FILE, a JSON array of resources.
"""

import json
import sys
from pathlib import Path

from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import (
    PrometheusRule,
)

MODELS = {"ScaledObject": ScaledObject, "PrometheusRule": PrometheusRule}


def main(file: str) -> int:
    """Print what is lost; return the exit code."""
    code = 0
    for resource in json.loads(Path(file).read_text("utf-8")):
        model = MODELS[resource["kind"]]
        read = model.model_validate(resource)
        back = read.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        if back != resource:
            print(f"{resource['kind']}: unknown fields are lost: {back} is not {resource}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
