"""Room for the largest files and for all tasks at once."""

from collections.abc import Iterator

from deploy.checks.deployment import Deployment
from deploy.checks.wiring.given import producer_settings, worker_settings
from deploy.checks.wiring.registry import check
from producer_api.database import BACKGROUND_LIMITS, PROBE_LIMITS, READ_LIMITS, WRITE_LIMITS

SCRATCH_SHARE = 5
"""Times the largest upload, for each message handled at once: the upload, its parts and the results."""

UPLOAD_MEMORY_MB = 35
BASE_MEMORY_MB = 500
"""Of the API: for each concurrent upload, and for all the rest."""

OTHER_CONNECTIONS = 20
"""To the database: operators, the migration, the checks of the gate, what RDS keeps for itself."""

WORKER_CONNECTIONS = 10
"""The most that a worker opens, however many messages it handles."""


@check
def scratch_has_room(deployment: Deployment) -> Iterator[str]:
    """A worker's scratch folder holds five times the largest upload for each message it handles at once."""
    task, settings = deployment.tasks["worker"], worker_settings(deployment)
    needed = SCRATCH_SHARE * producer_settings(deployment).max_upload_bytes * settings.max_concurrent_messages
    room = task.definition["ephemeral_storage"][0]["size_in_gib"] << 30
    if room < needed:
        yield f"the worker has {room >> 30} GiB of scratch, and its files may take {needed / 2**30:.0f} GiB"
    mounted = {point["containerPath"]: point for point in task.container["mountPoints"]}
    folder = settings.scratch_directory or "/tmp"  # noqa: S108 the system's default
    if folder not in mounted or mounted[folder]["readOnly"]:
        yield f"the worker's scratch folder {folder} cannot be written to"


@check
def memory_has_room(deployment: Deployment) -> Iterator[str]:
    """A task of the API has the memory that its concurrent uploads may take."""
    uploads = producer_settings(deployment).max_concurrent_uploads
    needed = uploads * UPLOAD_MEMORY_MB + BASE_MEMORY_MB
    given = int(deployment.tasks["producer"].definition["memory"])
    if given < needed:
        yield f"the API has {given} MiB of memory; {uploads} uploads may take {needed}"


@check
def connections_fit(deployment: Deployment) -> Iterator[str]:
    """The database has a connection for each that all tasks may open, during a deployment too."""
    each = {
        "producer": sum(
            limits.connections for limits in (READ_LIMITS, WRITE_LIMITS, BACKGROUND_LIMITS, PROBE_LIMITS)
        ),
        "worker": min(WORKER_CONNECTIONS, worker_settings(deployment).max_concurrent_messages + 1),
    }
    needed = OTHER_CONNECTIONS + sum(deployment.max_tasks(name) * count for name, count in each.items())
    limit = int(deployment.database_parameter("max_connections"))
    if needed > limit:
        yield f"all tasks together may open {needed} connections, and the database takes {limit}"
