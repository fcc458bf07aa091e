"""The one line that says what to install when an adapter's library is missing."""


def missing(library: str, extra: str, error: ImportError) -> ImportError:
    """The error to raise instead of `error`.

    Args:
        library: what people call it.
        extra: the extra of this package that brings it.
        error: what importing it raised.
    """
    return ImportError(f"this needs {library}: pip install 'keisei[{extra}]' ({error})")
