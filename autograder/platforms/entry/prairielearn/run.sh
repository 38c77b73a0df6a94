#!/usr/bin/env bash
# PrairieLearn starts this in the image of the Dockerfile, with kit.tar beside it.
set -euo pipefail
CORPUS=wikitext2
FIXTURES=

export LMKIT_VENV="${LMKIT_VENV:-/opt/lm-kit}" LMKIT_DATA="${LMKIT_DATA:-/opt/lm-kit-data}"
rm -f /grade/results/results.json
place=$(mktemp -d)
tar -xf /grade/tests/kit.tar -C "$place"
cd "$place/kit"
exec "${PYTHON:-/usr/bin/python3}" -m autograder platform prairielearn --corpus "$CORPUS" $FIXTURES
