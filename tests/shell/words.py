"""Management commands as a shell sees them: what they print, and how they fail."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def prints(*words: str) -> str:
    """What a command writes to standard output."""
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def warns(*words: str) -> str:
    """What a command that succeeds writes to standard error."""
    err = StringIO()
    call_command(*words, stdout=StringIO(), stderr=err)
    return err.getvalue()


def fails(*words: str) -> str:
    """The one line with which a command fails; `manage.py` prints it, and its exit status is not 0."""
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError) as failed:
        call_command(*words, stdout=out, stderr=err)
    assert failed.value.returncode != 0
    assert out.getvalue() == "", "whoever reads the output gets nothing"
    assert err.getvalue() == "", "and nothing is said of what was undone"
    message = str(failed.value)
    assert len(message.splitlines()) == 1
    return message
