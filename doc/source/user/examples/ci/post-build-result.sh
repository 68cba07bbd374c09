#!/bin/sh
# Tell a queue how a build ended: post-build-result.sh success|failure
#
# Needs ZAQAR_SIGNED_URL, a secret of the CI system, and
# "pip install python-zaqarclient". Nothing else: no account, no password.
set -eu

result=${1:?say how the build ended: success or failure}
queue=${ZAQAR_QUEUE:-builds}

# A branch may be called anything: only a JSON library quotes it safely.
python3 -c '
import json, os, sys

def first(*names):
    return next((os.environ[name] for name in names if os.environ.get(name)), None)

print(json.dumps({
    "result": sys.argv[1],
    "commit": first("GITHUB_SHA", "CI_COMMIT_SHA"),
    "branch": first("GITHUB_REF_NAME", "CI_COMMIT_REF_NAME"),
    "run": first("GITHUB_RUN_ID", "CI_PIPELINE_ID"),
}))
' "$result" | zaqar message post "$queue" --json-lines -f value -
