"""Effects of fault rules on an operation. The rules themselves are in :mod:`aep_emulator.core.faults`."""

from __future__ import annotations

from aep_emulator.core.faults import Rule
from aep_emulator.core.http import Reply, Request
from aep_emulator.core.world import World
from aep_emulator.gateway.authentication import bearer_token
from aep_emulator.gateway.operations import Operation
from aep_emulator.services.flow_service.resources import touch


def execute(rule: Rule | None, operation: Operation, world: World, request: Request, name: str) -> Reply:
    """Execute an operation under a rule.

    :param name: the operation's, as in the journal
    """
    if rule is None:
        return operation.execute()
    match rule.do:
        case "revoke":
            world.store.drop_token(bearer_token(request.headers))
        case "race":
            return operation.execute(before=touch)
        case "login":
            return operation.execute(accepts_login=False)
        case "lag":
            with world.store.hide_newer_than(world.clock.now() - (rule.seconds or 0)):
                return operation.execute()
        case "answer":
            _commit(rule, operation, world)
            raise rule.refusal(name)
        case "reset" | "hang" | "cut":
            return _commit(rule, operation, world)
    return operation.execute()


def _commit(rule: Rule, operation: Operation, world: World) -> Reply:
    """Execute the operation now, later or never, as the rule's ``commit`` says; what is cut off is executed now."""
    if rule.commit == "now" or rule.do == "cut":
        return operation.execute()
    if rule.commit != "never":
        operation.admit()
        world.later(world.clock.now() + float(rule.commit), operation.execute)
    return Reply()
