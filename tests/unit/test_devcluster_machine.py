"""What a machine must have, and what its owner is told."""

import os

import pytest

from devcluster import __main__ as command
from devcluster import build, debian, net, services, state


def test_without_root_the_error_says_so_and_names_the_way_around(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(debian.NotPossibleError, match=r"root.*CONTEXT="):
        debian.ensure()


def test_without_apt_the_error_lists_the_missing_packages(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "PACKAGES", {"some-package": "/nonexistent/bin/some-program"})
    monkeypatch.setattr(debian.shutil, "which", lambda _: None)
    with pytest.raises(debian.NotPossibleError, match=r"no apt-get here.* some-package"):
        debian.ensure()


def test_with_a_context_of_the_user_nothing_is_started_or_ended(monkeypatch, capsys):
    monkeypatch.setenv("CONTEXT", "mine")
    for name in ("up", "down", "down_all"):
        monkeypatch.setattr(command.cluster, name, None)
    command.up("hub")
    command.down("hub")
    command.down(all=True)
    assert capsys.readouterr().err.count("CONTEXT=mine") == 3


def test_a_failure_is_one_line_without_a_traceback(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["devcluster", "kubeconfig", "t-none"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "devcluster: error: no cluster 't-none'; 'python -m devcluster up t-none' makes one"
    ]


def test_a_cut_matches_only_what_the_other_side_begins():
    rule = net.drop(state.Record(name="t-hub", number=7))
    assert rule[rule.index("-s") + 1] == "10.89.0.7"
    assert rule[rule.index("--ctdir") + 1] == "ORIGINAL"


def test_a_change_of_recipe_or_toolchain_builds_anew():
    part = build.Part(name="p", module="m", version="v1", binaries={"b": ""})
    tagged = build.Part(name="p", module="m", version="v1", binaries={"b": ""}, tags=["t"])
    assert len({part.key("go1"), part.key("go2"), tagged.key("go1")}) == 3


def test_a_seeded_repository_has_the_folder_and_gets_no_commit_when_nothing_changed(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.yaml").write_text("a: 1\n")
    url = services.create_repository("demo", source)
    assert url.endswith("/demo.git")
    services.create_repository("demo", source)
    bare = ["git", f"--git-dir={services.repositories()}/demo.git"]
    assert net.call(*bare, "rev-list", "--count", "main").strip() == "1"
    (source / "a.yaml").write_text("a: 2\n")
    services.create_repository("demo", source)
    assert net.call(*bare, "rev-list", "--count", "main").strip() == "2"
    assert net.call(*bare, "show", "main:a.yaml") == "a: 2\n"
    assert services.repository_list() == {"demo": url}
