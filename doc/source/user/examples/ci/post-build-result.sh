#!/bin/sh
# Tell a queue how a build ended: post-build-result.sh success|failure
#
# Needs ZAQAR_SIGNED_URL, a secret of the CI system, and the package
# python-zaqarclient. Nothing else: no account, no password.
set -eu

result=${1:?say how the build ended: success or failure}
queue=${ZAQAR_QUEUE:-builds}

zaqar message post "$queue" -f value \
    --field result="$result" \
    --field commit="${GITHUB_SHA:-${CI_COMMIT_SHA:-}}" \
    --field branch="${GITHUB_REF_NAME:-${CI_COMMIT_REF_NAME:-}}" \
    --field run="${GITHUB_RUN_ID:-${CI_PIPELINE_ID:-}}"
