"""Runs the emulator with IAM enforced, and writes each of its decisions to a file, a JSON array a line.

It runs in the emulator's own environment, and the file's name is in the variable DECISIONS. A line is: access
key, action, resource, whether it was allowed.
"""

import json
import os
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

_decide = iam_evaluator.enforce
_decisions = Path(os.environ["DECISIONS"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 open to the end


def _enforce(
    access_key: str, action: str, service: str, region: str, resource_arn: str = "*", **context: object
) -> Any:  # noqa: ANN401 the emulator's own types
    # On AWS a batch has no action of its own: SendMessageBatch is sqs:SendMessage.
    action = action.removesuffix("Batch")
    denied = _decide(access_key, action, service, region, resource_arn=resource_arn, **context)
    _decisions.write(json.dumps([access_key, action, resource_arn, denied is None]) + "\n")
    return denied


if __name__ == "__main__":
    iam_evaluator.enforce = _enforce
    from ministack.app import main

    main()
