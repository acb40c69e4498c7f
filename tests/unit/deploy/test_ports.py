"""The ports of the local stack."""

import socket

import pytest

from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, MAX_REPLICAS, Ports


def test_taken_port_is_refused_with_its_part_and_what_to_do():
    ports = Ports.free(replicas=2)
    with socket.create_server((HOST, ports.workers[1])):
        with pytest.raises(LocalStackError) as refused:
            ports.require_free()
        assert f"port {ports.workers[1]}, which consumer_worker-2 needs, is already in use" in str(
            refused.value
        )
        assert "--port-offset" in str(refused.value)

    ports.require_free()  # closing the listener is enough


def test_documented_ports_differ_up_to_the_maximum_of_replicas_and_move_together():
    ports = dict(Ports.documented(MAX_REPLICAS).by_part())
    moved = dict(Ports.documented(MAX_REPLICAS, offset=100).by_part())

    assert len(set(ports.values())) == len(ports) == 4 + MAX_REPLICAS
    assert ports["producer_api"] == 8080
    assert moved == {part: port + 100 for part, port in ports.items()}
