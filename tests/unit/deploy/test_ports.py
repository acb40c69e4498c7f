"""The ports of the local stack."""

import socket

import pytest

from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, MOST_REPLICAS, Ports


def test_taken_port_is_named_with_who_wants_it_and_what_to_do():
    ports = Ports.free(replicas=2)
    with socket.create_server((HOST, ports.workers[1])):
        with pytest.raises(LocalStackError) as refused:
            ports.require_free()
        assert f"port {ports.workers[1]} on 127.0.0.1 is taken" in str(refused.value)
        assert "consumer_worker-2 wants it" in str(refused.value)
        assert "--port-offset" in str(refused.value)

    ports.require_free()  # an end of the listener is enough


def test_documented_ports_differ_up_to_the_most_replicas_and_move_together():
    ports = dict(Ports.documented(MOST_REPLICAS).by_part())
    moved = dict(Ports.documented(MOST_REPLICAS, offset=100).by_part())

    assert len(set(ports.values())) == len(ports) == 4 + MOST_REPLICAS
    assert ports["producer_api"] == 8080
    assert moved == {part: port + 100 for part, port in ports.items()}
