"""``python -m core.distillation.memory_estimate < REQUEST.json``: print what memory a job needs.

It is device memory, in bytes, as JSON. The request is a ``core.jobspec.cost.memory.MemoryRequest``.
"""

import json
import sys

import torch

from core.distillation.memory_estimate.simulation import estimate_memory
from core.jobspec.cost.memory import MemoryRequest


def main() -> int:
    request = MemoryRequest.model_validate(json.load(sys.stdin))
    torch.set_num_threads(1)
    estimate = estimate_memory(request)
    print(
        json.dumps(
            {
                "bytes": estimate.bytes,
                "training_bytes": estimate.training_bytes,
                "evaluation_bytes": estimate.evaluation_bytes,
                "parts": estimate.parts,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
