"""What a node's gateways may ask of it."""

from typing import Any

import pytest

from cluster.errors import Forbidden
from cluster.node.gateways import gateway_host
from cluster.simulation.fleet import SECRET, Fleet
from cluster.wire.admin import AdminAnswer, AdminQuery
from tests.messaging.world import FakeInbound, FakeLink


def test_a_gateway_asks_what_its_clients_may_do_to_queues_and_nothing_else() -> None:
    with Fleet.running(1, 1) as fleet:
        host: Any = gateway_host(fleet.nodes["n1"], SECRET)
        asked = FakeInbound(AdminQuery("queues", {}), FakeLink())
        host.admin(asked)
        [answer] = asked.answers
        assert isinstance(answer, AdminAnswer) and answer.value["queues"] == []
        for what in ("drain", "change", "create-bucket", "bind-queue", "events"):
            with pytest.raises(Forbidden):
                host.admin(FakeInbound(AdminQuery(what, {}), FakeLink()))
