"""What can go wrong with a local network. Codes are shown by `caseledger net`."""

from __future__ import annotations

from protocol.errors import CaseledgerError


class NetworkError(CaseledgerError):
    """A local network could not be made, started or asked."""

    http_status = 503
    title = "local network"


class NetworkMissing(NetworkError):
    """No network was created under this home."""

    title = "no local network here"


class NetworkExists(NetworkError):
    """A network is there already, with other settings than the ones asked for."""

    http_status = 409
    title = "a local network exists already"


class NetworkSettingRefused(NetworkError):
    """A number, name or amount that a safe genesis cannot have."""

    http_status = 422
    title = "network setting refused"


class NetworkToolMissing(NetworkError):
    """The node's program is not installed for this platform."""

    title = "node program missing"


class NetworkToolFailed(NetworkError):
    """The node's program refused a command."""

    title = "node program failed"


class NetworkStartFailed(NetworkError):
    """A node did not come up in time; its log says why."""

    title = "node did not start"


class NetworkNodeUnknown(NetworkError):
    """There is no node with this number."""

    http_status = 404
    title = "no such node"


class NetworkPortTaken(NetworkError):
    """Another program holds a port that a running network needs."""

    http_status = 409
    title = "port taken"


class NetworkBusy(NetworkError):
    """Another command is changing this network right now."""

    http_status = 409
    retryable = True
    title = "network busy"
