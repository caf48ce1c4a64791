"""Who may connect to a server at a path: its mode and its owner, from the first moment on."""

import errno
import grp
import os
import pwd
import socket
import stat
from contextlib import contextmanager

import pytest

import greensock
from greensock.net import unixpaths
from greensock.net.owners import SAME, owner_ids
from tests.helpers import Shout, ShoutDatagram, ask, served

KINDS = {
    "stream": (greensock.UnixStreamServer, Shout),
    "datagram": (greensock.UnixDatagramServer, ShoutDatagram),
}
ME = pwd.getpwuid(os.getuid())
MY_GROUP = grp.getgrgid(os.getgid())

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "socket"


def new_server(kind, path, **settings):
    server_class, handler = KINDS[kind]
    return type("Server", (server_class,), settings)(path, handler)


@contextmanager
def umask(mask):
    old = os.umask(mask)
    try:
        yield
    finally:
        assert mask == os.umask(old), "the umask was not left as it was"


def rights(path):
    status = os.stat(path)
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(kind, path, mode, mask):
    with umask(mask), served(new_server(kind, str(path), unix_mode=mode)) as server:
        assert mode == rights(path)[0]
        assert b"HELLO\n" == ask(server)
    assert not path.exists()


def test_without_a_mode_the_umask_decides(kind, path):
    with umask(0o027), new_server(kind, str(path)):
        assert 0o750 == rights(path)[0]


def test_an_owner_alone_leaves_the_mode_to_the_umask(kind, path):
    with umask(0o027), new_server(kind, str(path), unix_owner=ME.pw_name):
        assert 0o750 == rights(path)[0]


@pytest.mark.parametrize("has_umask_only", [False, True])
def test_there_is_no_moment_in_which_somebody_else_may_connect(
    kind, path, monkeypatch, has_umask_only
):
    """It has no rights when it turns up, and gets them when it has its owner."""
    seen = []
    chown, chmod = os.chown, os.chmod
    monkeypatch.setattr(os, "chown", lambda *args: (seen.append(rights(path)[0]), chown(*args)))
    monkeypatch.setattr(os, "chmod", lambda *args: (seen.append(rights(path)[0]), chmod(*args)))
    if has_umask_only:  # as on macOS

        def fchmod(descriptor, mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(os, "fchmod", fchmod)
    with umask(0o000), new_server(kind, str(path), unix_mode=0o666, unix_owner=ME.pw_uid):
        assert ([0, 0], 0o666) == (seen, rights(path)[0])


def test_where_no_handle_can_be_had_the_path_does(path, monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(os, "O_PATH")
    with new_server("stream", str(path), unix_mode=0o660):
        assert 0o660 == rights(path)[0]


def test_a_dead_path_is_replaced_with_the_new_mode(kind, path):
    new_server(kind, str(path)).socket.close()
    assert path.is_socket()
    with new_server(kind, str(path), unix_mode=0o640):
        assert 0o640 == rights(path)[0]


@as_root
@pytest.mark.parametrize(
    "owner, expected",
    [
        ("65533:65532", (65533, 65532)),
        ("65533", (65533, os.getgid())),
        (65533, (65533, os.getgid())),
        (":65532", (os.getuid(), 65532)),
        ("65533:", (65533, os.getgid())),
    ],
)
def test_the_owner_is_the_one_asked_for(kind, path, owner, expected):
    with new_server(kind, str(path), unix_owner=owner) as server:
        assert expected == rights(path)[1:]
        assert owner == server.unix_owner
    assert not path.exists()


def test_an_owner_may_be_named(path):
    other = pwd.getpwall()[-1]
    group = grp.getgrall()[-1]
    assert (other.pw_uid, SAME) == owner_ids(other.pw_name)
    assert (other.pw_uid, other.pw_gid) == owner_ids(f"{other.pw_name}:")
    both = owner_ids(f"{other.pw_name}:{group.gr_name}")
    assert (other.pw_uid, group.gr_gid) == both
    assert (SAME, group.gr_gid) == owner_ids(f":{group.gr_name}")
    with new_server("stream", str(path), unix_owner=f"{ME.pw_name}:{MY_GROUP.gr_name}"):
        assert (os.getuid(), os.getgid()) == rights(path)[1:]


@pytest.mark.parametrize(
    "owner, what",
    [("no-such-user", "user"), (":no-such-user", "group"), ("0:no-such-user", "group")],
)
def test_an_owner_that_does_not_exist_is_told_before_anything_is_there(kind, path, owner, what):
    with pytest.raises(ValueError, match=f"{owner!r}, and there is no {what} 'no-such-user'"):
        new_server(kind, str(path), unix_owner=owner)
    assert not path.exists()


@pytest.mark.parametrize(
    "owner", [2**32 - 1, 2**64, "4294967295", ":4294967295", "0:" + 20 * "9", 5000 * "9"]
)
def test_a_number_that_is_no_id_is_told_before_anything_is_there(path, owner):
    """The first of them would leave the owner as it is."""
    with pytest.raises(ValueError, match=f"^unix_owner is {owner!r}, and the highest id is 4294"):
        new_server("stream", str(path), unix_owner=owner)
    assert not path.exists()


@pytest.mark.parametrize("owner", ["4294967294", 2**32 - 2, 5000 * "0" + "4294967294"])
def test_the_highest_id_is_one(owner):
    assert (2**32 - 2, SAME) == owner_ids(owner)


def test_what_may_not_be_given_away_is_told_and_not_left_behind(kind, path, monkeypatch):
    def chown(path, user, group):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(PermissionError, match="only root may give a socket to another user"):
        new_server(kind, str(path), unix_owner=0)
    assert not path.exists()


def test_what_somebody_else_has_put_there_is_not_given_away(kind, path, monkeypatch):
    """A link to a file of root's, put in place in the directory of a user."""
    precious = path.with_name("precious")
    precious.touch(0o600)
    bind = unixpaths._bind

    def replaced(sock, address):
        bind(sock, address)
        path.unlink()
        path.symlink_to(precious)

    monkeypatch.setattr(unixpaths, "_bind", replaced)
    with pytest.raises(OSError):
        new_server(kind, str(path), unix_mode=0o666)
    assert 0o600 == rights(precious)[0]
    assert path.is_symlink()


@pytest.mark.parametrize("address", [b"\0greensock-test-rights", "\0greensock-test-rights", ""])
@pytest.mark.parametrize("setting", [{"unix_mode": 0o600}, {"unix_owner": 0}])
def test_an_abstract_name_has_neither(kind, address, setting):
    with pytest.raises(ValueError, match="an abstract name, and whoever knows it may connect"):
        new_server(kind, address, **setting)


WRONG = {
    "unix_mode": [660, -1, "660", 0o1777, True, 6.0],
    "unix_owner": ["", ":", "a:b:c", -1, True, b"root"],
    "dual_stack": [0, 1, "yes"],
}


@pytest.mark.parametrize("name, value", [(n, value) for n in WRONG for value in WRONG[n]])
def test_a_wrong_setting_is_told_at_once(path, name, value):
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; give "):
        new_server("stream", str(path), **{name: value})
    assert not path.exists()
    with new_server("stream", str(path)) as server:
        with pytest.raises(ValueError, match=f"^{name} is "):
            setattr(server, name, value)


def test_the_settings_are_nothing_to_a_server_that_has_no_path():
    settings = {"unix_mode": 0o600, "unix_owner": "no-such-user"}
    with type("Server", (greensock.TCPServer,), settings)(("127.0.0.1", 0), Shout) as server:
        assert server.server_address[1]


def test_a_listener_that_opens_again_has_its_mode_again(path):
    with served(new_server("stream", str(path), unix_mode=0o660)) as server:
        server.suspend(release=True)
        assert not path.exists()
        server.unix_mode = 0o606
        server.resume()
        assert 0o606 == rights(path)[0]


def test_an_adopted_socket_keeps_its_mode(path):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))
        before = rights(path)
        server = greensock.UnixStreamServer(opened, Shout, bind_and_activate=False)
        server.unix_mode = 0o600
        with server:
            server.server_bind()
            assert before == rights(path)
