"""Secrets kept out of texts: each host has a redactor, through which every error and text from below passes.

From below come the errors of servers, client libraries, sockets, TLS, and plugins. Nobody knows beforehand what they show:
a server that refuses a greeting repeats the password in it. A redactor knows the secrets of its host, and takes them out.
It works on errors alone, so a command that succeeds pays nothing.
"""

from nydus_core.redaction.redactor import NO_SECRETS, Redactor, redactor_of
from nydus_core.redaction.secrets import looks_secret, options_of
from nydus_core.redaction.texts import without_userinfo

__all__ = ["NO_SECRETS", "Redactor", "looks_secret", "options_of", "redactor_of", "without_userinfo"]
