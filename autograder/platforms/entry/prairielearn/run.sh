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
"${PYTHON:-/usr/bin/python3}" -m autograder platform prairielearn --corpus "$CORPUS" $FIXTURES || true
# Written whole or not at all: where there is none, the grader could not even say why.
if [ ! -e /grade/results/results.json ]; then
  mkdir -p /grade/results
  cat > /grade/results/results.json << 'END'
{"gradable": false, "message": "The grader failed; your work was not graded, and this costs you no attempt.", "format_errors": ["Tell your instructor: the grader's log says why."]}
END
fi
