"""How a file name of an unknown author is quoted in a message."""

MAX_CHARACTERS = 200


def quote(name: str) -> str:
    """Return the name in quotation marks: printable, validly encoded, and not too long."""
    printable = (
        character if character.isprintable() else "\ufffd" for character in name[:MAX_CHARACTERS]
    )
    return '"' + "".join(printable) + '"'
