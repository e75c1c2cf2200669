"""Make the policies of docs/iam.

python -m tests.iam             from tests/iam/record.json
python -m tests.iam --record    play the scenarios first, write that record, and hold all that was asked for against the
                                policies that it makes (half an hour)
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.iam import policies, scenarios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="play the scenarios first")
    asked = scenarios.played() if parser.parse_args().record else []
    if asked:
        policies.RECORD.write_text(json.dumps(policies.recorded(asked), indent=1) + "\n")
    policies.write(policies.read())
    refused = policies.refused(policies.read(), asked)
    print(*refused, sep="\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
