"""The CI systems that a job may run in, and what their variables say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The members of a description, besides ``system``.
MEMBERS: Final = ("job", "url", "commit", "branch")

#: For each system the variable that tells it, and for each member the forms to try.
_SYSTEMS: Final[dict[str, tuple[str, dict[str, tuple[str, ...]]]]] = {
    "github": (
        "GITHUB_ACTIONS",
        {
            "job": ("{GITHUB_JOB}",),
            "url": (
                "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
            ),
            "commit": ("{GITHUB_SHA}",),
            # Of a pull request the other one is "12/merge".
            "branch": ("{GITHUB_HEAD_REF}", "{GITHUB_REF_NAME}"),
        },
    ),
    "gitlab": (
        "GITLAB_CI",
        {
            "job": ("{CI_JOB_NAME}",),
            "url": ("{CI_JOB_URL}",),
            "commit": ("{CI_COMMIT_SHA}",),
            "branch": ("{CI_COMMIT_REF_NAME}",),
        },
    ),
    "buildkite": (
        "BUILDKITE",
        {
            "job": ("{BUILDKITE_LABEL}", "{BUILDKITE_PIPELINE_SLUG}"),
            "url": ("{BUILDKITE_BUILD_URL}#{BUILDKITE_JOB_ID}",),
            "commit": ("{BUILDKITE_COMMIT}",),
            "branch": ("{BUILDKITE_BRANCH}",),
        },
    ),
    # Zuul sets no variables: the playbook of a job does (the guide has one).
    "zuul": (
        "ZUUL_BUILD",
        {
            "job": ("{ZUUL_JOB}",),
            "url": ("{ZUUL_URL}",),
            "commit": ("{ZUUL_COMMIT}",),
            "branch": ("{ZUUL_BRANCH}",),
        },
    ),
    "jenkins": (
        "JENKINS_URL",
        {
            "job": ("{JOB_NAME}",),
            "url": ("{BUILD_URL}",),
            "commit": ("{GIT_COMMIT}",),
            "branch": ("{BRANCH_NAME}", "{GIT_BRANCH}"),
        },
    ),
}


def description(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return system, job, url, commit and branch, each None where it is not known."""
    given = {name: value for name, value in environment.items() if value}
    system = next((one for one, row in _SYSTEMS.items() if row[0] in given), None)
    forms = _SYSTEMS[system][1] if system else {}
    found = {member: _first(forms.get(member, ()), given) for member in MEMBERS}
    return {"system": system, **found}


def _first(forms: tuple[str, ...], given: Mapping[str, str]) -> str | None:
    """Return the first form whose variables are all there, filled in."""
    for form in forms:
        try:
            return form.format_map(given)
        except KeyError:
            continue
    return None
