"""Make the policies of docs/iam.

python -m tests.iam             from tests/iam/record.json
python -m tests.iam --record    play the scenarios first, and write that record (half an hour)
"""

from __future__ import annotations

import argparse
import json

from tests.iam import policies, scenarios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="play the scenarios first")
    if parser.parse_args().record:
        policies.RECORD.write_text(json.dumps(scenarios.recorded(), indent=1) + "\n")
    policies.write(policies.read())


if __name__ == "__main__":
    main()
