#!/usr/bin/env bash
# Gradescope builds the image with this: once, as root, with a network. Choose the assignment's
# largest container (Settings, Autograder): PyTorch needs more than the default 768 MB.
set -euo pipefail
CORPUS=wikitext2

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv libseccomp2 bubblewrap

# Hand-ins run as a user of their own, who has to reach the interpreter: so not below /root.
export LMKIT_VENV=/opt/lm-kit LMKIT_DATA=/opt/lm-kit-data
cd /autograder/source
chmod +x run_autograder
if [ -d kit/hidden ]; then chmod -R u=rwX,go= kit/hidden; fi
cd kit
/usr/bin/python3 -m autograder setup
/usr/bin/python3 -m autograder data --corpus "$CORPUS"
# Draws the public fixtures, and proves that grading works here before any hand-in comes.
/usr/bin/python3 -m autograder grade handout --corpus "$CORPUS" --out /tmp/lm-kit-tried
