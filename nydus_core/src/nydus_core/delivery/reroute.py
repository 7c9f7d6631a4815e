"""Rerouting: a command whose host is down goes to another host, where the router knows one. No I/O."""

from __future__ import annotations

from nydus_core.command import Access, Command, Outcome, outcome_of
from nydus_core.delivery.plan import Lane, Plan
from nydus_core.delivery.rules import CallOptions, Rules
from nydus_core.errors import HostError, HostListExhausted, RoutingError, host_error

__all__ = ["Rerouter"]


class Rerouter:
    """Gives commands of one delivery to other hosts.

    Parameters:
        plan: Where the commands go.
        rules: The rules of the delivery.
        options: The options of the call. In a transaction, or with a host that the user named, commands stay where they are.
    """

    def __init__(self, plan: Plan, rules: Rules, options: CallOptions) -> None:
        self._plan = plan
        self._rules = rules
        free = not options.transaction and options.host is None
        self._active = rules.reroute and free and len(rules.watches) > 1
        # By position, for commands that were moved: the hosts tried before, and how many attempts they took
        self._tried: dict[int, set[int]] = {}
        self._spent: dict[int, int] = {}

    def may_move(self, command: Command) -> bool:
        """Tell whether a command may go to another host at all."""
        return self._active and self._rules.placement.may_move(command)

    def tell_bound(self, command: Command, error: Exception) -> None:
        """Note on the error of a command that stays with its host why it was not given to another one."""
        if self._active and isinstance(error, HostError):
            why = command.bound
            if why:
                error.add_note(f"it cannot go to another host instead: {why}")

    def should_move(self, host: int, command: Command, error: Exception) -> bool:
        """Tell whether a command is to be tried elsewhere: not if its host is well and only its connections are all in use."""
        return (
            isinstance(error, HostError)
            and self.may_move(command)
            and self._rules.watches[host].blames(error)
        )

    def attempts(self, position: int, attempt: int) -> int:
        """Return how often a command was tried on the host that it is at now, given the number of the attempt."""
        return attempt - self._spent.get(position, 0)

    def note(self, lane: Lane) -> None:
        """Note that a lane was sent: the commands in it that were moved did go to its host."""
        if self._tried:
            self._plan.moved.update((place, lane.host) for place in lane.positions if place in self._tried)

    def move(
        self, position: int, command: Command, host: int, error: HostError, lanes: dict[int, Lane]
    ) -> range | HostError:
        """Put a command into the lanes of other hosts.

        Parameters:
            position: Its position.
            command: The command.
            host: The index of the host that could not do it.
            error: The error that this ended in. Takes a note if no other host will do.
            lanes: The lanes of the next attempt, by host.

        Returns:
            The positions of its parts; none if it stays where it was. Or, if no host is left, the error to end in.
        """
        rules = self._rules
        tried = self._tried.get(position, set()) | {host}
        down = {index for index, watch in enumerate(rules.watches) if not watch.admits}
        try:
            route = rules.placement.elsewhere(command, tried | down)
        except HostListExhausted as exhausted:
            return _exhausted(exhausted, error, command)
        except RoutingError as why:
            error.add_note(f"it cannot go to other hosts instead: {why}")
            return range(0)
        except Exception as fault:  # of a third party's router: the outcome stands
            error.add_note(f"it cannot go to other hosts instead: the router raised {fault!r}")
            return range(0)
        if rules.stale and command.access is Access.WRITE:
            rules.watches[host].take_out(error.__cause__ or error)
        places = self._plan.put(position, command, route, lanes)
        for place in places:
            self._tried[place], self._spent[place] = tried, error.attempts
            self._plan.moved[place] = host  # until it was sent elsewhere: there may be no time for that
        return places


def _exhausted(exhausted: HostListExhausted, error: HostError, command: Command) -> HostError:
    """Return the error where no host is left: a command that may have been applied somewhere keeps its own error."""
    if outcome_of(error) is not Outcome.NOT_SENT:
        error.add_note(f"no other host is left: {exhausted.why}")
        return error
    cause = error.__cause__ or error
    raised = host_error(HostListExhausted, cause, host=error.host, command=repr(command))
    raised.why = f"{exhausted.why}; the last said: {error}"
    raised.attempts = error.attempts
    return raised
