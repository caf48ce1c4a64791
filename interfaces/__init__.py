"""The contracts of greensock: what servers, handlers, models and tools promise.

This package is the specification. It imports nothing but ``zope.interface``, so a library can
declare that it honours a contract without pulling in the framework. Durations are seconds and
sizes are bytes throughout; what ``None`` means is said where it is allowed.
"""

if __name__ == "interfaces":
    raise ImportError(
        "these contracts are one package, greensock.interfaces; importing the folder as "
        "'interfaces' would make a second, different set: use 'import greensock.interfaces'"
    )

from .bus import IBus, IMessage, ISubscription
from .events import (
    IAcceptFailed,
    IAcceptPaused,
    IAcceptResumed,
    IBusEvent,
    IBusLost,
    IBusOverflowed,
    IBusRestored,
    IConnectionClosed,
    IConnectionCut,
    IConnectionOpened,
    IConnectionRefused,
    IDatagramsDropped,
    IDatagramTruncated,
    IDrainEnded,
    IDrainStarted,
    IHandshakeFailed,
    IProxyHeaderRefused,
    IRequestFailed,
    IServerEvent,
    IServerStarted,
    IServerStopped,
    ISlowConsumer,
    ITLSReloaded,
    IUpgradeEnded,
    IUpgradeFailed,
    IWorkerEnded,
    IWorkerFailed,
    IWorkerStarted,
)
from .handlers import (
    IDatagramRequestHandler,
    IGreenRequestHandler,
    IRequestHandler,
    IRequestHandlerFactory,
    IStreamRequestHandler,
)
from .models import IConcurrencyModel, IGreenletModel
from .operations import (
    IAdmission,
    IBroadcasting,
    IConnection,
    IDeadlines,
    IDraining,
    IInspection,
    ITLS,
)
from .prefork import IPreforkServer
from .proxy import IProxied, IProxyHeader, IProxyTLS
from .relay import IRelay, IRelayed
from .rooms import IRoom
from .servers import (
    IBinding,
    IDatagramServer,
    IGreenServer,
    IServer,
    ISocketServer,
    IStreamServer,
)
from .toolbox import IEvent, ILock, IQueue, ITask, IToolbox

__all__ = [
    "IAcceptFailed",
    "IAcceptPaused",
    "IAcceptResumed",
    "IAdmission",
    "IBinding",
    "IBroadcasting",
    "IBus",
    "IBusEvent",
    "IBusLost",
    "IBusOverflowed",
    "IBusRestored",
    "IConcurrencyModel",
    "IConnection",
    "IConnectionClosed",
    "IConnectionCut",
    "IConnectionOpened",
    "IConnectionRefused",
    "IDatagramRequestHandler",
    "IDatagramServer",
    "IDatagramTruncated",
    "IDatagramsDropped",
    "IDeadlines",
    "IDrainEnded",
    "IDrainStarted",
    "IDraining",
    "IEvent",
    "IGreenRequestHandler",
    "IGreenServer",
    "IGreenletModel",
    "IHandshakeFailed",
    "IInspection",
    "ILock",
    "IMessage",
    "IPreforkServer",
    "IProxied",
    "IProxyHeader",
    "IProxyHeaderRefused",
    "IProxyTLS",
    "IRelay",
    "IRelayed",
    "IQueue",
    "IRequestFailed",
    "IRequestHandler",
    "IRequestHandlerFactory",
    "IRoom",
    "IServer",
    "IServerEvent",
    "IServerStarted",
    "IServerStopped",
    "ISlowConsumer",
    "ISocketServer",
    "IStreamRequestHandler",
    "IStreamServer",
    "ISubscription",
    "ITLS",
    "ITLSReloaded",
    "ITask",
    "IToolbox",
    "IUpgradeEnded",
    "IUpgradeFailed",
    "IWorkerEnded",
    "IWorkerFailed",
    "IWorkerStarted",
]
