"""All commands, and all changes: to import it is to have them."""

from . import about, capabilities, joining, moding, registering, seeing, talking
from . import identities, membership, speech, standing

COMMANDS = about, capabilities, joining, moding, registering, seeing, talking
CHANGES = identities, membership, speech, standing
