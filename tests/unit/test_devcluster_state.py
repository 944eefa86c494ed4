import pytest

from devcluster import state


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_two_clusters_share_no_address():
    one = state.claim("t-one", node=True, controllers=True)
    two = state.claim("t-two", node=True, controllers=True)
    assert {one.address, one.pod_cidr, one.service_prefix}.isdisjoint(
        {two.address, two.pod_cidr, two.service_prefix}
    )


def test_a_cluster_keeps_its_address_and_a_freed_one_is_used_again():
    one = state.claim("t-one", node=True, controllers=True)
    two = state.claim("t-two", node=True, controllers=True)
    (one.folder / "cluster.json").unlink()
    assert state.claim("t-two", node=True, controllers=True).address == two.address
    assert state.claim("t-three", node=True, controllers=True).address == one.address


def test_a_cluster_grows_a_node_and_does_not_lose_it():
    assert not state.claim("t-one", node=False, controllers=False).node
    assert state.claim("t-one", node=True, controllers=True).node
    again = state.claim("t-one", node=False, controllers=False)
    assert again.node
    assert again.controllers


def test_a_record_reads_back_as_it_was_written():
    record = state.Record(name="t-one", number=7, node=False, cut_from=("t-two",))
    record.save()
    assert state.load("t-one") == record
    assert state.records() == [record]


@pytest.mark.parametrize("name", ["", "Hub", "-hub", "hub-", "../hub", "_services", "h" * 33])
def test_a_name_that_cannot_be_a_node_or_a_folder_is_refused(name):
    with pytest.raises(ValueError, match="cluster name"):
        state.claim(name, node=True, controllers=True)


def test_a_cluster_too_many_is_refused_by_saying_so(monkeypatch):
    monkeypatch.setattr(state, "NUMBERS", range(2, 3))
    state.claim("t-one", node=True, controllers=True)
    with pytest.raises(ValueError, match="take one down first"):
        state.claim("t-two", node=True, controllers=True)


def test_an_unknown_cluster_is_named_with_the_command_that_makes_it():
    with pytest.raises(LookupError, match="up t-none"):
        state.load("t-none")
