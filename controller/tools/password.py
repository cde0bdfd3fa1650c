"""``yardmaster hash-password``: a password becomes the line for site.yaml that stores it nowhere."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys

from controller.link.secrets import SALT_BYTES, SecretError, salted_hash
from controller.tools.client import ToolError

SHORTEST, LONGEST = 16, 40

EPILOG = f"""\
Prints one line for a station in site.yaml. The password itself can not be got back from it. OCPP wants passwords of
{SHORTEST} to {LONGEST} characters that nobody can guess; 40 hexadecimal digits (a 1.6 AuthorizationKey) are taken as such.

Examples:
  yardmaster hash-password                                     asks twice, shows nothing
  openssl rand -hex 20 | tee key.txt | yardmaster hash-password --stdin
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--stdin", action="store_true", help="read the password from standard input, one line, without asking")


def main(arguments: argparse.Namespace) -> int:
    """Print the line; the exit code."""
    try:
        password = _piped() if arguments.stdin else _asked()
        line = salted_hash(password, secrets.token_bytes(SALT_BYTES))
    except (ToolError, SecretError) as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    if not SHORTEST <= len(password) <= LONGEST:
        print(f"yardmaster: note: OCPP wants {SHORTEST} to {LONGEST} characters, this password has {len(password)}", file=sys.stderr)
    print(f'password_hash: "{line}"')
    return 0


def _piped() -> str:
    try:
        password = sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ToolError("the password on standard input is not UTF-8") from None
    if not password:
        raise ToolError("there is no password on standard input")
    return password


def _asked() -> str:
    if not sys.stdin.isatty():
        raise ToolError("there is no terminal to ask on; pipe the password in with --stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise ToolError("the two are not the same; nothing was printed")
    return password
