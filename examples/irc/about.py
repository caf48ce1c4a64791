"""What a server tells of itself and of its network."""

from . import numerics
from .audience import stamp
from .session import Session, command
from .wire import Message


def _is_elsewhere(session: Session, params: tuple[str, ...]) -> bool:
    """Whether another server is asked; then the client is told that nobody carries questions."""
    if not params or params[0] in (session.network.me.name, session.nick):
        return False
    session.reply(numerics.ERR_NOSUCHSERVER, params[0])
    return True


def tell_motd(session: Session) -> None:
    """The message of the day."""
    network = session.network
    if not network.settings.motd:
        session.reply(numerics.ERR_NOMOTD)
        return
    session.tell_all(
        [
            session.numeric(
                numerics.RPL_MOTDSTART, f"- {network.me.name} Message of the day - "
            ),
            *[session.numeric(numerics.RPL_MOTD, f"- {line}") for line in network.settings.motd],
            session.numeric(numerics.RPL_ENDOFMOTD),
        ]
    )


def tell_numbers(session: Session) -> None:
    """How many users there are."""
    network = session.network
    everybody = len(network.users)
    here, unseen = len(network.own), len(network.invisible)
    session.tell_all(
        [
            session.numeric(
                numerics.RPL_LUSERCLIENT,
                f"There are {everybody - unseen} users and {unseen} invisible on "
                f"{len(network.servers())} servers",
            ),
            session.numeric(numerics.RPL_LUSEROP, "0"),
            session.numeric(numerics.RPL_LUSERUNKNOWN, str(len(network.clocks.newcomers))),
            session.numeric(numerics.RPL_LUSERCHANNELS, str(len(network.channels))),
            session.numeric(
                numerics.RPL_LUSERME,
                f"I have {here} clients and {len(network.servers()) - 1} servers",
            ),
            session.numeric(numerics.RPL_LOCALUSERS, f"Current local users {here}"),
            session.numeric(numerics.RPL_GLOBALUSERS, f"Current global users {everybody}"),
        ]
    )


@command("MOTD")
def _motd(session: Session, message: Message) -> None:
    if not _is_elsewhere(session, message.params):
        tell_motd(session)


@command("LUSERS")
def _lusers(session: Session, message: Message) -> None:
    tell_numbers(session)


@command("VERSION")
def _version(session: Session, message: Message) -> None:
    network = session.network
    if not _is_elsewhere(session, message.params):
        session.reply(numerics.RPL_VERSION, network.version, network.me.name, "")


@command("TIME")
def _time(session: Session, message: Message) -> None:
    network = session.network
    if not _is_elsewhere(session, message.params):
        session.reply(numerics.RPL_TIME, network.me.name, stamp(network.now()))


@command("LINKS")
def _links(session: Session, message: Message) -> None:
    network = session.network
    for server in network.servers():
        hops = int(server is not network.me)
        session.reply(numerics.RPL_LINKS, server.name, network.me.name, f"{hops} {server.name}")
    session.reply(numerics.RPL_ENDOFLINKS, "*")


@command("OPER")
def _oper(session: Session, message: Message) -> None:
    session.reply(numerics.ERR_NOOPERHOST)
