"""What users say: PRIVMSG, NOTICE, TAGMSG. It changes nothing, but takes the same ways."""

from typing import Any

from .audience import TAGGED
from .changes import change
from .people import User
from .wire import Message


@change("PRIVMSG")
@change("NOTICE")
@change("TAGMSG")
def _talk(network: Any, source: User, message: Message) -> None:
    target, *text = message.params
    tags = message.tags
    only = TAGGED if message.command == "TAGMSG" else 0
    skip = source.session
    echoes = skip is not None and "echo-message" in skip.caps
    if target.startswith("#"):
        channel = network.find_channel(target)
        if channel is not None:
            said = Message(message.command, (channel.name, *text), source.prefix, tags)
            is_inside = source in channel.members
            network.tell(channel, said, None if echoes and is_inside else skip, only)
            if echoes and not is_inside:
                skip.tell(said, only)
        return
    user = network.users.get(target)
    if user is None:
        return
    said = Message(message.command, (user.nick, *text), source.prefix, tags)
    if user.session is not None and user.session is not skip:
        user.session.tell(said, only)
    if skip is not None and (user.session is skip or echoes):
        skip.tell(said, only)
