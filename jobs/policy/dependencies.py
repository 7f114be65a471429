"""When a job's dependencies let it go. Pure; knows states, not stores."""

from __future__ import annotations

from collections.abc import Callable

from jobs.core.jobs import ENDED, Dependency, DependencyKind, JobId, Reason, ReasonCode, StateName

_BOTH = frozenset({DependencyKind.OK, DependencyKind.ANY})
_ANY = frozenset({DependencyKind.ANY})
_OK = frozenset({DependencyKind.OK})


def settled_by(fate: StateName) -> tuple[frozenset[DependencyKind], frozenset[DependencyKind]]:
    """The kinds of dependency that are met by such an end, and those that never will be."""
    return (_BOTH, frozenset()) if fate is StateName.SUCCEEDED else (_ANY, _OK)


def missing(
    after: tuple[Dependency, ...], state_of: Callable[[JobId], StateName | None]
) -> tuple[Reason, ...]:
    """Why these dependencies hold a job back; empty when all are met.

    A target that nobody knows counts as not met: a job waits rather than starts too early.
    """
    unmet: list[JobId] = []
    reasons: list[Reason] = []
    for dependency in after:
        job_id = dependency.job_id
        state = state_of(job_id)
        if state is None or state not in ENDED:
            unmet.append(job_id)
        elif dependency.kind in settled_by(state)[1]:
            reasons.append(Reason(ReasonCode.DEPENDENCY_FAILED, jobs=(job_id,), detail=state.value))
    if unmet:
        reasons.append(Reason(ReasonCode.DEPENDENCY, jobs=tuple(unmet)))
    return tuple(reasons)
