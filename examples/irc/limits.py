"""How much of everything there may be; clients are told of it as they register."""

from .channels import FLAGS, MOST_BANS
from .modes import MOST_PARAMS
from .names import CHANNEL_LENGTH, NICK_LENGTH

MOST_CHANNELS = 50
MOST_TARGETS = 4

# Answers to one question. With more, whoever asks for everything would be cut for not reading it.
MOST_ANSWERS = 2000

# Characters. With names of full length before them they fit a line, unless they take many bytes.
TOPIC_LENGTH = 390
REASON_LENGTH = 300
AWAY_LENGTH = 300
REALNAME_LENGTH = 100
KEY_LENGTH = 23
MASK_LENGTH = 110

SUPPORTED = (
    "CASEMAPPING=rfc1459",
    "CHANTYPES=#",
    f"CHANNELLEN={CHANNEL_LENGTH}",
    f"CHANLIMIT=#:{MOST_CHANNELS}",
    f"CHANMODES=b,k,l,{''.join(sorted(FLAGS))}",
    "PREFIX=(ov)@+",
    f"MODES={MOST_PARAMS}",
    f"MAXLIST=b:{MOST_BANS}",
    f"NICKLEN={NICK_LENGTH}",
    f"TOPICLEN={TOPIC_LENGTH}",
    f"AWAYLEN={AWAY_LENGTH}",
    f"KICKLEN={REASON_LENGTH}",
    f"KEYLEN={KEY_LENGTH}",
    f"TARGMAX=PRIVMSG:{MOST_TARGETS},NOTICE:{MOST_TARGETS},TAGMSG:{MOST_TARGETS},WHOIS:1,KICK:1",
)
