"""``python -m tools.openapi_document PATH``: write the API's OpenAPI document to a file.

The dashboard's types are generated from it, so that an API change that breaks a page breaks its
build.
"""

import json
import sys
from pathlib import Path

from api.app import create_app
from core.settings import Settings


def main() -> int:
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    document = create_app(Settings()).openapi()
    path.write_text(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
